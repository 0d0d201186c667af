"""The gateway as a process: the public door, the internal one, and the views it keeps of the streams."""

import asyncio
from datetime import timedelta

import httpx

from harmonia.artifact.v1 import artifact_pb2_grpc
from harmonia.audio.v1 import audio_pb2_grpc
from harmonia.capability.v1 import capability_pb2_grpc
from harmonia.identity.v1 import identity_pb2_grpc, key_pb2_grpc
from harmonia.lyrics.v1 import lyrics_pb2_grpc
from harmonia.model.v1 import model_pb2_grpc
from harmonia.project.v1 import project_pb2_grpc
from harmonia.share.v1 import share_pb2_grpc
from harmonia.song.v1 import song_pb2_grpc
from harmonia.store.v1 import store_pb2_grpc
from harmonia.webhook.v1 import webhook_pb2_grpc
from harmonia_chassis.entities import Entities
from harmonia_chassis.identity import CertificateFiles, TokenSigner
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.node import Node, closing, run_service
from harmonia_chassis.testing import Failpoint, never
from harmonia_gateway.artifact_servicer import ArtifactServicer
from harmonia_gateway.audio_servicer import AudioServicer
from harmonia_gateway.audit import Audit
from harmonia_gateway.bootstrap import Bootstrap
from harmonia_gateway.capabilities import Capabilities
from harmonia_gateway.capability_servicer import CapabilityServicer
from harmonia_gateway.chance import real_chance
from harmonia_gateway.collector import Collector
from harmonia_gateway.continuing import Continuing
from harmonia_gateway.exporter import Exporter
from harmonia_gateway.finder import Finder
from harmonia_gateway.hub import Hub
from harmonia_gateway.intake import Intake
from harmonia_gateway.jwks import IssuerKeys
from harmonia_gateway.key_servicer import KeyServicer
from harmonia_gateway.lyrics_servicer import LyricsServicer
from harmonia_gateway.model_servicer import ModelServicer
from harmonia_gateway.oidc import Issuer
from harmonia_gateway.outside import Outside
from harmonia_gateway.own_songs import OwnSongs
from harmonia_gateway.people import People, Recognise
from harmonia_gateway.project_servicer import ProjectServicer
from harmonia_gateway.projection import Projection
from harmonia_gateway.projects import HOPE, Projects
from harmonia_gateway.quotas import Fullness, Places, Quotas, Rate, Storage
from harmonia_gateway.reading import Reading
from harmonia_gateway.recordings import Recordings
from harmonia_gateway.settings import Settings
from harmonia_gateway.share_servicer import ShareServicer
from harmonia_gateway.shares import Shares
from harmonia_gateway.song_servicer import SongServicer
from harmonia_gateway.strangers import Strangers
from harmonia_gateway.sweeper import Sweeper
from harmonia_gateway.token_servicer import TokenServicer
from harmonia_gateway.tokens import UserKeys, read_keys
from harmonia_gateway.webhook_servicer import WebhookServicer
from harmonia_gateway.webhooks import Webhooks
from harmonia_gateway.words import Words


async def start(node: Node[Settings], *, failpoint: Failpoint = never, hope: timedelta = HOPE) -> None:
    settings = node.settings
    signer = TokenSigner.from_file(settings.signing_key, settings.trust_domain)
    node.sign_with(signer)
    jobs = await node.jobs()
    await jobs.declare(lease=settings.lease, max_bytes=settings.store_bytes, replicas=settings.store_replicas)
    entities = Entities(jobs)
    strangers = Strangers(settings.rate_strangers, settings.trusted_proxies)
    keys, audit, shares = UserKeys(entities), Audit(entities, strangers), Shares(entities)
    await _open_public_door(node, keys, Bootstrap(node.verifier, entities, audit), shares, strangers)
    await asyncio.to_thread(settings.state_dir.mkdir, parents=True, exist_ok=True)
    hub = Hub(jobs, replicas=settings.store_replicas)
    projection = Projection(settings.state_dir, jobs, on_change=hub.publish, metrics=node.metrics)
    finder = Finder(projection.file)
    capabilities = Capabilities(entities, node.channel)
    quotas = _quotas(node, jobs, projection, signer)
    node.serve(identity_pb2_grpc.add_TokenServiceServicer_to_server, TokenServicer(signer, entities))
    projects, own = Projects(entities, jobs, hope=hope), OwnSongs(jobs, projection)
    webhooks = Webhooks(entities, projection, _outside(node))
    intake = Intake(
        jobs=jobs,
        words=Words(node.store, node.channel("artifacts")),
        continuing=Continuing(jobs, node.channel("artifacts"), commercial_tenants=settings.commercial_tenants),
        capabilities=capabilities,
        signer=signer,
        quotas=quotas,
        chance=real_chance(),
        failpoint=failpoint,
        projects=projects,
        webhooks=webhooks,
        commercial_tenants=settings.commercial_tenants,
    )
    songs = SongServicer(
        jobs=jobs,
        intake=intake,
        projection=projection,
        finder=finder,
        hub=hub,
        capabilities=capabilities,
        quotas=quotas,
        recordings=await asyncio.to_thread(Recordings, node.store, settings.state_dir / "listening"),
        signer=signer,
    )
    node.serve(song_pb2_grpc.add_SongServiceServicer_to_server, songs, public=True)
    _serve_projects(node, projects, own=own, signer=signer, quotas=quotas)
    _serve_shares(node, shares, own=own, signer=signer, audit=audit, quotas=quotas)
    node.serve(webhook_pb2_grpc.add_WebhookServiceServicer_to_server, WebhookServicer(webhooks, quotas), public=True)
    node.background("webhooks", webhooks.run)
    node.serve(key_pb2_grpc.add_KeyServiceServicer_to_server, KeyServicer(keys, audit, quotas), public=True)
    collector = Collector(jobs, node.channel("artifacts"), every=settings.collect)
    _serve_call_doors(node, signer, capabilities, quotas, collector)
    sweeper = Sweeper(jobs, projection, metrics=node.metrics, lease=settings.lease, every=settings.sweep)
    node.background("projection", projection.run)
    node.background("finder", closing(finder.aclose))
    node.background("reading", Reading(projection, node.store, signer).run)
    node.background("hub", hub.run)
    node.background("sweeper", sweeper.run)
    node.background("capabilities", capabilities.run)
    node.background("collector", collector.run)
    node.background("projects", projects.run)


async def _open_public_door(
    node: Node[Settings], keys: UserKeys, bootstrap: Bootstrap, shares: Shares, strangers: Strangers
) -> None:
    settings = node.settings
    if settings.bootstrap_keys is not None:
        await keys.make_known(await asyncio.to_thread(read_keys, settings.bootstrap_keys))
    people = People(
        keys,
        bootstrap=bootstrap.recognise,
        issuer=_issuer(node),
        shares=shares.recognise,
        strangers=strangers,
        metrics=node.metrics,
    )
    certificates = CertificateFiles(settings.public_tls_cert, settings.public_tls_key, settings.tls_ca)
    node.serve_users(settings.public_listen, people.authenticate, certificates=certificates)


def _issuer(node: Node[Settings]) -> Recognise | None:
    settings = node.settings
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    http = httpx.AsyncClient()
    node.background("issuer", closing(http.aclose))
    keys = IssuerKeys(settings.oidc_issuer, http)
    issuer = Issuer(settings.oidc_issuer, settings.oidc_audience, tenant_claim=settings.oidc_tenant_claim, keys=keys)
    return issuer.recognise


def _outside(node: Node[Settings]) -> Outside:
    settings = node.settings
    authorities = settings.webhook_ca.read_text() if settings.webhook_ca is not None else ""
    outside = Outside(settings.webhook_allow, authorities=authorities)
    node.background("outside", closing(outside.aclose))
    return outside


def _quotas(node: Node[Settings], jobs: JobStream, projection: Projection, signer: TokenSigner) -> Quotas:
    settings = node.settings
    return Quotas(
        creates=Rate("songs", settings.rate_creates),
        reads=Rate("calls", settings.rate_reads),
        places=Places(settings.tenant_unfinished, projection),
        fullness=Fullness(jobs.fullness),
        storage=Storage(store_pb2_grpc.StoreServiceStub(node.channel("artifacts")), signer),
    )


def _serve_projects(
    node: Node[Settings], projects: Projects, *, own: OwnSongs, signer: TokenSigner, quotas: Quotas
) -> None:
    servicer = ProjectServicer(
        kept=projects, own=own, exporter=Exporter(node.channel("artifacts")), signer=signer, quotas=quotas
    )
    node.serve(project_pb2_grpc.add_ProjectServiceServicer_to_server, servicer, public=True)


def _serve_shares(
    node: Node[Settings], shares: Shares, *, own: OwnSongs, signer: TokenSigner, audit: Audit, quotas: Quotas
) -> None:
    servicer = ShareServicer(
        kept=shares,
        own=own,
        artifacts=node.channel("artifacts"),
        signer=signer,
        audit=audit,
        quotas=quotas,
        opening=Rate("openings of links", node.settings.rate_reads),
        base=node.settings.share_base,
    )
    node.serve(share_pb2_grpc.add_ShareServiceServicer_to_server, servicer, public=True)
    node.background("shares", shares.run)


def _serve_call_doors(
    node: Node[Settings], signer: TokenSigner, capabilities: Capabilities, quotas: Quotas, collector: Collector
) -> None:
    """What is answered at once, by other services."""
    artifacts = node.channel("artifacts")
    node.serve(
        capability_pb2_grpc.add_CapabilityServiceServicer_to_server,
        CapabilityServicer(capabilities, quotas),
        public=True,
    )
    models = ModelServicer(composer=node.channel("composer"), capabilities=capabilities, quotas=quotas)
    node.serve(model_pb2_grpc.add_ModelServiceServicer_to_server, models, public=True)
    lyrics = LyricsServicer(
        lyricist=node.channel("lyricist"),
        store=node.store,
        capabilities=capabilities,
        signer=signer,
        quotas=quotas,
    )
    node.serve(lyrics_pb2_grpc.add_LyricsServiceServicer_to_server, lyrics, public=True)
    audio = AudioServicer(
        mastering=node.channel("mastering"),
        artifacts=artifacts,
        capabilities=capabilities,
        signer=signer,
        quotas=quotas,
    )
    node.serve(audio_pb2_grpc.add_AudioServiceServicer_to_server, audio, public=True)
    files = ArtifactServicer(artifacts=artifacts, signer=signer, quotas=quotas, collector=collector)
    node.serve(artifact_pb2_grpc.add_ArtifactServiceServicer_to_server, files, public=True)


def main() -> None:
    run_service("gateway", Settings, start)


if __name__ == "__main__":
    main()

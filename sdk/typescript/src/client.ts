import { HarmoniaError, refusal, unreachable } from "./errors.js";
import { events, type ServerEvent } from "./events.js";
import type { components, operations } from "./schema.js";

type Schemas = components["schemas"];
export type Song = Schemas["Song"];
export type SongSpec = Schemas["SongSpec"];
export type SongEvent = Schemas["SongEvent"];
export type Output = Schemas["Output"];
export type Artifact = Schemas["Artifact"];
export type Key = Schemas["Key"];
export type SongMatch = Schemas["SongMatch"];
export type Project = Schemas["Project"];
export type Share = Schemas["Share"];
export type CreateShare = Asked<"CreateShare">;
export type CreateProject = Asked<"CreateProject">;
/** The body of an operation. */
type Asked<Operation extends keyof operations> = operations[Operation] extends {
  requestBody: { content: { "application/json": infer Body } };
}
  ? Body
  : never;
type Listing = NonNullable<operations["ListSongs"]["parameters"]["query"]>;
type Search = NonNullable<operations["SearchSongs"]["parameters"]["query"]>;

export interface Options {
  /** "http://127.0.0.1:7480"; default: where the page came from. */
  url?: string;
  /** An API key, or an issuer's access token. A page of the server itself needs none: it has a session. */
  token?: string | (() => string | Promise<string>);
  /** How long a watch goes on by itself while the server is away. */
  patienceS?: number;
  fetch?: typeof globalThis.fetch;
}

export interface Calling {
  signal?: AbortSignal;
}

export interface Composing extends Calling {
  /** The same key with the same spec gives the same song. */
  idempotencyKey?: string;
  /** Answers when the song has ended, or after so long; at most 60 s. */
  waitS?: number;
}

const ENDED = new Set(["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]);
const FIRST_PAUSE_S = 0.2;
const LONGEST_PAUSE_S = 3;

/** Harmonia over HTTP. Every method rejects with a HarmoniaError when it is refused. */
export class Harmonia {
  readonly #url: string;
  readonly #token: () => string | Promise<string>;
  readonly #patienceS: number;
  readonly #fetch: typeof globalThis.fetch;

  constructor({ url = "", token = "", patienceS = 60, fetch = globalThis.fetch.bind(globalThis) }: Options = {}) {
    this.#url = url.replace(/\/$/, "");
    this.#token = typeof token === "function" ? token : () => token;
    this.#patienceS = patienceS;
    this.#fetch = fetch;
  }

  /** Accepted, not yet made, unless `waitS` sufficed. Sent again by itself when the server was away. */
  compose(spec: SongSpec, { idempotencyKey = crypto.randomUUID(), waitS = 0, signal }: Composing = {}): Promise<Song> {
    const body = waitS > 0 ? { spec, wait: `${waitS}s` } : { spec };
    const headers = { "idempotency-key": idempotencyKey };
    return this.#patiently(() => this.#json<Song>("POST", "/v1/songs", { body, headers, signal }), signal);
  }

  /** Checks everything, starts nothing: the song as it would be. */
  rehearse(spec: SongSpec, { signal }: Calling = {}): Promise<Song> {
    return this.#json("POST", "/v1/songs", { body: { spec, validate_only: true }, signal });
  }

  estimate(spec: SongSpec, { signal }: Calling = {}): Promise<Schemas["Estimate"]> {
    return this.#json("POST", "/v1/songs:estimate", { body: { spec }, signal });
  }

  song(name: string, { signal }: Calling = {}): Promise<Song> {
    return this.#json("GET", `/v1/${name}`, { signal });
  }

  /** All that match, page by page. filter: `state = SUCCEEDED AND labels.album = "rain"`. */
  async *songs(query: Listing = {}, { signal }: Calling = {}): AsyncGenerator<Song> {
    for await (const page of this.#pages<Schemas["ListSongsResponse"]>("/v1/songs", query, signal)) yield* page.songs ?? [];
  }

  /**
   * Every state in order, then progress, until the song has ended. A broken watch goes on after the last event it
   * gave; `resumeToken` does so for one that another program began.
   */
  async *watch(name: string, { resumeToken = "", signal }: { resumeToken?: string } & Calling = {}): AsyncGenerator<SongEvent> {
    let token = resumeToken;
    const patience = new Patience(this.#patienceS, signal);
    for (;;) {
      try {
        for await (const event of this.#events("GET", `/v1/${name}:watch`, token ? { "last-event-id": token } : {}, { signal })) {
          patience.heard();
          if (event.kind === "end") return;
          token = event.id || token;
          yield JSON.parse(event.data) as SongEvent;
        }
      } catch (error) {
        if (!(error instanceof HarmoniaError) || !error.retryable) throw error;
        await patience.pause(error);
        continue;
      }
      await patience.pause(unreachable("the watch broke off"));
    }
  }

  /** The song once it has ended, whatever became of it. */
  async finished(name: string, calling: Calling = {}): Promise<Song> {
    for await (const { song } of this.watch(name, calling)) {
      if (song?.state && ENDED.has(song.state)) return song;
    }
    return this.song(name, calling);
  }

  cancel(name: string, { signal }: Calling = {}): Promise<Song> {
    return this.#json("POST", `/v1/${name}:cancel`, { body: {}, signal });
  }

  retry(name: string, { signal }: Calling = {}): Promise<Song> {
    return this.#json("POST", `/v1/${name}:retry`, { body: {}, signal });
  }

  /** Another song, made out of this one: what `changes` sets is different, all else is as it was. */
  revise(name: string, asked: Asked<"ReviseSong">, { signal }: Calling = {}): Promise<Song> {
    const request_id = asked.request_id || crypto.randomUUID();
    return this.#patiently(() => this.#json<Song>("POST", `/v1/${name}:revise`, { body: { ...asked, request_id }, signal }), signal);
  }

  /** Can be undone for 30 days. */
  delete(name: string, { signal }: Calling = {}): Promise<Song> {
    return this.#json("DELETE", `/v1/${name}`, { signal });
  }

  undelete(name: string, { signal }: Calling = {}): Promise<Song> {
    return this.#json("POST", `/v1/${name}:undelete`, { body: {}, signal });
  }

  /** Where the master of a song is played from, by a page that has a session: <audio src>. */
  audioUrl(name: string, format = ""): string {
    return `${this.#url}/v1/${name}/audio${format ? `?format=${format}` : ""}`;
  }

  /** Its bytes, checked against the digest that names them. artifact: "artifacts/{sha256}", as in `song.outputs`. */
  async download(artifact: string, { signal }: Calling = {}): Promise<Uint8Array> {
    const bytes = await this.#patiently(async () => {
      const answer = await this.#call("GET", `/v1/${artifact}:download`, { signal });
      try {
        return new Uint8Array(await answer.arrayBuffer());
      } catch (error) {
        throw unreachable(error);
      }
    }, signal);
    if (`artifacts/${await sha256(bytes)}` !== artifact) throw unreachable("the file is not what its name says");
    return bytes;
  }

  /** The best first, page by page: by `query`, words of title, prompt, lyrics and labels, or by what they sound `like`. */
  async *search(asked: Search, { signal }: Calling = {}): AsyncGenerator<SongMatch> {
    for await (const page of this.#pages<Schemas["SearchSongsResponse"]>("/v1/songs:search", asked, signal)) yield* page.matches ?? [];
  }

  /** The link is in this answer and nowhere else. */
  share(asked: CreateShare, { signal }: Calling = {}): Promise<Schemas["CreateShareResponse"]> {
    return this.#json("POST", "/v1/shares", { body: asked, signal });
  }

  revokeShare(name: string, { signal }: Calling = {}): Promise<Schemas["Share"]> {
    return this.#json("DELETE", `/v1/${name}`, { signal });
  }

  async shares(query: { song?: string; show_ended?: boolean } = {}, { signal }: Calling = {}): Promise<Share[]> {
    return (await this.#json<Schemas["ListSharesResponse"]>("GET", "/v1/shares", { query, signal })).shares ?? [];
  }

  createProject(asked: CreateProject, { signal }: Calling = {}): Promise<Project> {
    return this.#json("POST", "/v1/projects", { body: asked, signal });
  }

  /** With its songs, in order. */
  project(name: string, { signal }: Calling = {}): Promise<Project> {
    return this.#json("GET", `/v1/${name}`, { signal });
  }

  async *projects({ signal }: Calling = {}): AsyncGenerator<Project> {
    for await (const page of this.#pages<Schemas["ListProjectsResponse"]>("/v1/projects", {}, signal)) yield* page.projects ?? [];
  }

  /** Its title and description. Every change of a project is refused where `etag` is set and not the project's. */
  updateProject(name: string, asked: Asked<"UpdateProject">, { signal }: Calling = {}): Promise<Project> {
    return this.#json("POST", `/v1/${name}:update`, { body: asked, signal });
  }

  addSongs(name: string, asked: Asked<"AddSongs">, { signal }: Calling = {}): Promise<Project> {
    return this.#json("POST", `/v1/${name}:add`, { body: asked, signal });
  }

  removeSongs(name: string, asked: Asked<"RemoveSongs">, { signal }: Calling = {}): Promise<Project> {
    return this.#json("POST", `/v1/${name}:remove`, { body: asked, signal });
  }

  /** Those that are named come first, in that order. */
  orderSongs(name: string, asked: Asked<"OrderSongs">, { signal }: Calling = {}): Promise<Project> {
    return this.#json("POST", `/v1/${name}:order`, { body: asked, signal });
  }

  /** Its songs stay. */
  deleteProject(name: string, { signal }: Calling = {}): Promise<Project> {
    return this.#json("DELETE", `/v1/${name}`, { signal });
  }

  upload(file: Blob | Uint8Array<ArrayBuffer>, mediaType: string, { signal }: Calling = {}): Promise<Artifact> {
    return this.#json("POST", "/v1/artifacts", { raw: file, headers: { "content-type": mediaType }, signal });
  }

  analyze(artifact: string, { signal }: Calling = {}): Promise<Schemas["AnalyzeResponse"]> {
    return this.#json("POST", "/v1/audio:analyze", { body: { artifact }, signal });
  }

  /** What a prompt would be taken to mean; fast enough to call while one types. */
  understand(prompt: string, { signal }: Calling = {}): Promise<Schemas["ReadPromptResponse"]> {
    return this.#json("POST", "/v1/lyrics:read", { body: { prompt }, signal });
  }

  /** Line by line, then all of it. */
  async *lyrics(request: Schemas["WriteLyricsRequest"], { signal }: Calling = {}): AsyncGenerator<Schemas["WriteLyricsResponse"]> {
    for await (const event of this.#events("POST", "/v1/lyrics:write", {}, { body: request, signal })) {
      if (event.kind === "end") return;
      yield JSON.parse(event.data) as Schemas["WriteLyricsResponse"];
    }
  }

  capabilities({ signal }: Calling = {}): Promise<Schemas["Capabilities"]> {
    return this.#json("GET", "/v1/capabilities", { signal });
  }

  /** The token is in this answer and nowhere else. */
  createKey(asked: { display_name?: string; scopes?: string[]; valid_for?: string } = {}, { signal }: Calling = {}): Promise<Schemas["CreateKeyResponse"]> {
    return this.#json("POST", "/v1/keys", { body: asked, signal });
  }

  async keys({ signal }: Calling = {}): Promise<Key[]> {
    return (await this.#json<Schemas["ListKeysResponse"]>("GET", "/v1/keys", { signal })).keys ?? [];
  }

  revokeKey(name: string, { signal }: Calling = {}): Promise<Key> {
    return this.#json("DELETE", `/v1/${name}`, { signal });
  }

  async *#pages<Page extends { next_page_token?: string }>(path: string, asked: Paged, signal?: AbortSignal): AsyncGenerator<Page> {
    for (let page_token = asked.page_token ?? ""; ; ) {
      const page = await this.#json<Page>("GET", path, { query: { ...asked, ...(page_token ? { page_token } : {}) }, signal });
      yield page;
      page_token = page.next_page_token ?? "";
      if (!page_token) return;
    }
  }

  async *#events(method: string, path: string, headers: Record<string, string>, request: Request_): AsyncGenerator<ServerEvent> {
    const answer = await this.#call(method, path, { ...request, headers });
    if (answer.status === 204 || answer.body === null) {
      yield { kind: "end", id: "", data: "{}" }; // it had ended before the event that was named
      return;
    }
    try {
      for await (const event of events(answer.body)) {
        if (event.kind === "error") {
          throw new HarmoniaError((JSON.parse(event.data) as Schemas["Error"]).error, answer.status);
        }
        yield event;
      }
    } catch (error) {
      throw error instanceof HarmoniaError || request.signal?.aborted ? error : unreachable(error);
    }
  }

  async #json<T>(method: string, path: string, request: Request_): Promise<T> {
    return (await (await this.#call(method, path, request)).json()) as T;
  }

  async #call(method: string, path: string, { query, body, raw, headers = {}, signal }: Request_): Promise<Response> {
    const token = await this.#token();
    const asked: RequestInit = {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...headers,
      },
      ...(signal ? { signal } : {}),
    };
    if (body !== undefined) asked.body = JSON.stringify(body);
    if (raw !== undefined) asked.body = raw;
    let answer: Response;
    try {
      answer = await this.#fetch(`${this.#url}${path}${queryOf(query)}`, asked);
    } catch (error) {
      if (signal?.aborted) throw error;
      throw unreachable(error);
    }
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }

  /** For what may be sent twice. */
  async #patiently<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const patience = new Patience(this.#patienceS, signal);
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof HarmoniaError) || !error.retryable) throw error;
        await patience.pause(error);
      }
    }
  }
}

interface Paged {
  page_token?: string;
}

interface Request_ {
  query?: Record<string, unknown>;
  body?: unknown;
  raw?: Blob | Uint8Array<ArrayBuffer>;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** Waits longer each time, and gives up when nothing was heard for so long. */
class Patience {
  #last = Date.now();
  #pauseS = FIRST_PAUSE_S;

  constructor(
    readonly mostS: number,
    readonly signal?: AbortSignal,
  ) {}

  heard(): void {
    this.#last = Date.now();
    this.#pauseS = FIRST_PAUSE_S;
  }

  async pause(why: HarmoniaError): Promise<void> {
    if (Date.now() - this.#last > this.mostS * 1000) throw why;
    const waitS = Math.max(this.#pauseS, why.retryAfterS ?? 0);
    this.#pauseS = Math.min(2 * this.#pauseS, LONGEST_PAUSE_S);
    await new Promise((resolve) => setTimeout(resolve, waitS * 1000));
    this.signal?.throwIfAborted();
  }
}

function queryOf(query: Record<string, unknown> = {}): string {
  const told = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  return told.size > 0 ? `?${told}` : "";
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

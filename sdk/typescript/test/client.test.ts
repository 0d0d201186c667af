// Against a real mesh: REST and TOKEN say where it is and who asks; SLOW that a song called "slow" goes on for ever.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Harmonia, HarmoniaError } from "../src/index.js";
import { events } from "../src/events.js";

const url = process.env["REST"] ?? "";
const mesh = new Harmonia({ url, token: process.env["TOKEN"] ?? "" });

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test("a song is accepted, watched to its end and saved as its digests say", async () => {
  const accepted = await mesh.compose({ prompt: "rain" });
  const states: string[] = [];
  for await (const { song } of mesh.watch(accepted.name ?? "")) if (song?.state) states.push(song.state);
  const song = await mesh.song(accepted.name ?? "");
  const master = song.outputs?.find((output) => output.role === "master");
  const bytes = await mesh.download(master?.artifact ?? "");

  assert.equal(states[0], "QUEUED");
  assert.equal(states.at(-1), "SUCCEEDED");
  assert.equal(String(bytes.length), master?.bytes);
});

test("the same key gives the same song", async () => {
  const key = crypto.randomUUID();
  const first = await mesh.compose({ prompt: "rain" }, { idempotencyKey: key });
  const second = await mesh.compose({ prompt: "rain" }, { idempotencyKey: key });

  assert.equal(first.name, second.name);
});

test("a watch goes on after the event it is given", async () => {
  const song = await mesh.compose({ prompt: "rain" }, { waitS: 30 });
  const all = await collected(mesh.watch(song.name ?? ""));
  const rest = await collected(mesh.watch(song.name ?? "", { resumeToken: all[1]?.resume_token ?? "" }));
  const none = await collected(mesh.watch(song.name ?? "", { resumeToken: all.at(-1)?.resume_token ?? "" }));

  assert.deepEqual(rest.map((event) => event.resume_token), all.slice(2).map((event) => event.resume_token));
  assert.deepEqual(none, []);
});

test("a watch that breaks off goes on by itself", async () => {
  let broken = 0;
  const breaking: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init);
    if (!String(input).endsWith(":watch") || broken++ > 0 || !answer.body) return answer;
    const { value } = await answer.body.getReader().read();
    let pulled = 0;
    const cut = new ReadableStream<Uint8Array>({
      pull(out) {
        if (pulled++ > 0 || !value) throw new TypeError("cut");
        out.enqueue(value.slice(0, Math.ceil(value.length / 2)));
      },
    });
    return new Response(cut, { headers: answer.headers });
  };
  const frail = new Harmonia({ url, token: process.env["TOKEN"] ?? "", fetch: breaking });
  const song = await mesh.compose({ prompt: "rain" }, { waitS: 30 });
  const tokens = (await collected(frail.watch(song.name ?? ""))).map((event) => event.resume_token);
  const whole = (await collected(mesh.watch(song.name ?? ""))).map((event) => event.resume_token);

  assert.ok(broken >= 2);
  assert.deepEqual(tokens, whole);
});

test("a refusal says what, where and why", async () => {
  await assert.rejects(mesh.compose({ prompt: "rain", bpm: 900 }), (error: unknown) => {
    assert.ok(error instanceof HarmoniaError);
    assert.deepEqual([error.status, error.reason, error.field], [400, "OUT_OF_RANGE", "spec.bpm"]);
    assert.match(error.requestId, /^[0-9a-f]{32}$/);
    return true;
  });
  await assert.rejects(new Harmonia({ url }).capabilities(), { reason: "TOKEN_MISSING", status: 401 });
  await assert.rejects(mesh.song(`songs/${"0".repeat(32)}`), { reason: "SONG_NOT_FOUND", status: 404 });
  await assert.rejects(new Harmonia({ url: "http://127.0.0.1:9", patienceS: 0 }).capabilities(), { reason: "UNREACHABLE" });
});

test("what is aborted ends at once", async () => {
  const song = await mesh.compose({ prompt: "rain", title: "slow" });
  const abort = new AbortController();
  await assert.rejects(async () => {
    for await (const { progress } of mesh.watch(song.name ?? "", { signal: abort.signal })) if (progress) abort.abort();
  }, { name: "AbortError" });
  await mesh.cancel(song.name ?? "");
  assert.equal((await mesh.finished(song.name ?? "")).state, "CANCELLED");
});

test("lists go on over pages, files go up and come down, keys open and close", async () => {
  const names = new Set<string>();
  for await (const song of mesh.songs({ page_size: 2 })) names.add(song.name ?? "");
  const text = new TextEncoder().encode("rain on a window");
  const kept = await mesh.upload(text, "text/plain");
  const made = await mesh.createKey({ scopes: ["songs:read"] });
  const program = new Harmonia({ url, token: () => made.token ?? "" });
  await program.songs().next();
  await assert.rejects(program.compose({ prompt: "rain" }), { reason: "SCOPE_MISSING" });
  await mesh.revokeKey(made.key?.name ?? "");

  assert.ok(names.size >= 5);
  assert.deepEqual(await mesh.download(kept.name ?? ""), text);
  assert.ok(!(await mesh.keys()).some((key) => key.name === made.key?.name));
});

test("songs are found, put together and shared", async () => {
  const songs = [];
  for (const title of ["Marimba one", "Marimba two"]) songs.push(await mesh.compose({ prompt: "rain", title }, { waitS: 30 }));
  const [one, two] = songs;
  const found = await collected(mesh.search({ query: "marimb*", page_size: 1, min_etag: two?.etag ?? "" }));
  const project = await mesh.createProject({ title: "Both", songs: songs.map((song) => song.name ?? "") });
  const made = await mesh.share({ song: one?.name ?? "", what: "AUDIO", valid_for: "60s" });
  const open = await fetch(`${url}${made.path}`);
  await mesh.revokeShare(made.share?.name ?? "");
  const closed = await fetch(`${url}${made.path}`);

  assert.deepEqual(found.map((match) => match.song?.name).sort(), songs.map((song) => song.name).sort());
  assert.deepEqual((await mesh.project(project.name ?? "")).songs?.map((entry) => entry.song), songs.map((song) => song.name));
  assert.deepEqual([open.status, closed.status], [200, 404]);
});

test("a project is put in order, renamed and given up, and a song of it made anew", async () => {
  const name = (one: { name?: string } | undefined) => one?.name ?? "";
  const songs = [];
  for (const title of ["Oboe one", "Oboe two"]) songs.push(name(await mesh.compose({ prompt: "rain", title }, { waitS: 30 })));
  const project = name(await mesh.createProject({ title: "Oboes" }));
  await mesh.addSongs(project, { songs });
  await mesh.orderSongs(project, { songs: [songs[1] ?? ""] });
  const renamed = await mesh.updateProject(project, { title: "Two oboes" });
  await assert.rejects(mesh.updateProject(project, { title: "x", etag: "old" }), { status: 409 });
  const left = await mesh.removeSongs(project, { songs: [songs[1] ?? ""] });
  const revised = await mesh.revise(songs[0] ?? "", { changes: { title: "Oboe three" } });
  const links = await mesh.shares({ song: songs[0] ?? "" });
  await mesh.deleteProject(project);
  const projects = await collected(mesh.projects());

  assert.deepEqual(renamed.songs?.map((entry) => entry.song), [songs[1], songs[0]]);
  assert.equal(renamed.title, "Two oboes");
  assert.deepEqual(left.songs?.map((entry) => entry.song), [songs[0]]);
  assert.equal(revised.revised_from, songs[0]);
  assert.deepEqual(links, []);
  assert.ok(!projects.some((other) => other.name === project));
});

test("words come line by line", async () => {
  const told = await collected(mesh.lyrics({ prompt: "rain" }));

  assert.ok(told[0]?.line);
  assert.ok(told.at(-1)?.result);
});

test("events are read however they are cut into pieces", async () => {
  const text = "retry: 5\nid: 1\ndata: a\ndata: b\n\n: note\nevent: end\r\ndata: ü\r\n\r\ndata: lost";
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size < bytes.length; size += 3) {
    const body = new ReadableStream<Uint8Array>({
      start(out) {
        for (let at = 0; at < bytes.length; at += size) out.enqueue(bytes.slice(at, at + size));
        out.close();
      },
    });
    assert.deepEqual(await collected(events(body)), [
      { kind: "message", id: "1", data: "a\nb" },
      { kind: "end", id: "1", data: "ü" },
    ]);
  }
});

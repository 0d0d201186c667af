export { Harmonia } from "./client.js";
export type { Artifact, Calling, Composing, Key, Options, Output, Song, SongEvent, SongSpec } from "./client.js";
export { HarmoniaError } from "./errors.js";
export type { components, operations, paths } from "./schema.js";

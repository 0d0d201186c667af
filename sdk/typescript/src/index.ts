export { Harmonia } from "./client.js";
export type {
  Artifact, Calling, Composing, CreateProject, CreateShare, Key, Options, Output, Project, Song, SongEvent, SongMatch, SongSpec,
} from "./client.js";
export { HarmoniaError } from "./errors.js";
export type { components, operations, paths } from "./schema.js";

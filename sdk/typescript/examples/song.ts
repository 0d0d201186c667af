// Composes, watches and saves a song: REST=http://… TOKEN=… node dist/examples/song.js "lo-fi rain" 20 FOLDER
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { Harmonia } from "../src/index.js";

const [prompt = "lo-fi rain on a window", seconds = "20", folder = "song"] = process.argv.slice(2);
const mesh = new Harmonia({ url: process.env["REST"] ?? "http://127.0.0.1:7480", token: process.env["TOKEN"] ?? "" });

const accepted = await mesh.compose({ prompt, duration_seconds: Number(seconds) });
console.log(accepted.name);
for await (const { song, progress } of mesh.watch(accepted.name ?? "")) {
  if (song) console.log(song.state);
  if (progress) console.log(`${progress.stage} ${Math.round(100 * (progress.progress ?? 0))} %`);
}

const song = await mesh.song(accepted.name ?? "");
for (const output of song.outputs ?? []) {
  const path = join(folder, output.file ?? "");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, await mesh.download(output.artifact ?? ""));
}
console.log(`saved ${song.outputs?.length ?? 0} files`);

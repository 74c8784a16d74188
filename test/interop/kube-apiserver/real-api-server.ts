// A release of Serin whose lab has Kubernetes' own API server and etcd. Nodes, scheduler, controllers and DNS are
// Serin's.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, serin } from "../../support/lab-cluster.ts";

const programs = ["etcd", "kube-apiserver"];

export interface BuiltRelease {
  readonly directory: string;
  remove(): void;
}

/** Throws if a program is missing. The error names the script that provides it. */
export function buildRelease(): BuiltRelease {
  const cache = join(root, ".cache/interop");
  for (const program of programs)
    if (!existsSync(join(cache, program)))
      throw new Error(`there is no .cache/interop/${program}: scripts/fetch/kube-apiserver.sh builds it`);
  const parent = mkdtempSync(join(tmpdir(), "serin-interop-"));
  const directory = join(parent, "release");
  const overlay = join(import.meta.dirname, "overlay");
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string };
  const built = spawnSync(serin, ["release", "build", directory, "--version", version, "--overlay", overlay], {
    encoding: "utf8",
  });
  if (built.status !== 0) throw new Error(`the release is not built: ${built.stdout}${built.stderr}`);
  mkdirSync(join(directory, "interop"));
  for (const program of programs) copyFileSync(join(cache, program), join(directory, "interop", program));
  return { directory, remove: () => rmSync(parent, { recursive: true, force: true }) };
}

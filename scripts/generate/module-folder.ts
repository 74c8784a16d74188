import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";

/** Returns the folder of a Go module's sources, which `go` downloads if necessary. */
export function moduleFolder(module: string, version: string): string {
  const result = spawnSync("go", ["mod", "download", "-json", `${module}@${version}`], {
    cwd: tmpdir(),
    encoding: "utf8",
  });
  const answer = JSON.parse(result.stdout) as { Dir?: string; Error?: string };
  if (answer.Dir === undefined) throw new Error(`${module}@${version}: ${answer.Error ?? result.stderr}`);
  return answer.Dir;
}

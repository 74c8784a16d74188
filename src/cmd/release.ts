// `serin release`: trees of Serin by version. Building one copies this tree; the lab runs it by image tag.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Command, CommanderError } from "commander";
import { userError } from "../base/index.ts";
import { stringify } from "yaml";
import { profiles } from "../install/index.ts";
import type { Release, RoleContext } from "./role.ts";

/** What a release consists of; `src` or `dist`, whichever this tree runs from. */
const treeEntries = ["bin", "src", "dist", "generated", "manifests", "samples", "LICENSE", "NOTICE"] as const;

export async function run({ args, release }: RoleContext): Promise<number> {
  const program = new Command("serin release").description("release trees: build, export").exitOverride();
  program
    .command("build <directory>")
    .description("copy this release with another version, for a canary of the mesh itself")
    .requiredOption("--version <version>", "the version that the copy answers")
    .option("--overlay <directory>", "a tree whose files replace the copy's")
    .action((directory: string, flags: { version: string; overlay?: string }) => {
      buildRelease(release, resolve(directory), flags.version, flags.overlay);
      process.stdout.write(`✔ release ${flags.version} is in ${resolve(directory)}; add it to the lab by: serin release add ${directory}\n`);
    });
  program
    .command("export <directory>")
    .description("write the archive layout of an Istio release: samples, profiles and bin/istioctl")
    .action((directory: string) => {
      exportRelease(release, resolve(directory));
      process.stdout.write(`✔ samples, manifests/profiles and bin/istioctl are in ${resolve(directory)}\n`);
    });
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

/** Replaces what a former build left at the place, and nothing else. */
export function buildRelease(release: Release, directory: string, version: string, overlay?: string): void {
  if (!/^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$/.test(version)) throw userError("version-invalid", `"${version}" is not a version such as 1.18.1`);
  if (existsSync(directory) && !existsSync(join(directory, "package.json"))) {
    throw userError("directory-taken", `${directory} is there and is no release tree`, { hint: "name a directory that does not exist yet" });
  }
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const entry of treeEntries) {
    const from = join(release.root, entry);
    if (existsSync(from)) cpSync(from, join(directory, entry), { recursive: true, filter: (path) => !path.endsWith(".test.ts") });
  }
  if (overlay !== undefined) cpSync(overlay, directory, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(release.root, "package.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(join(directory, "package.json"), `${JSON.stringify({ ...manifest, version }, undefined, 2)}\n`);
  symlinkSync(nodeModulesOf(release.root), join(directory, "node_modules"));
}

function nodeModulesOf(root: string): string {
  const own = join(root, "node_modules");
  if (existsSync(own)) return own;
  // Installed as a package: its dependencies are beside it.
  return dirname(root);
}

function exportRelease(release: Release, directory: string): void {
  mkdirSync(join(directory, "manifests/profiles"), { recursive: true });
  mkdirSync(join(directory, "bin"), { recursive: true });
  cpSync(join(release.root, "samples"), join(directory, "samples"), { recursive: true });
  for (const [name, spec] of Object.entries(profiles)) {
    const operator = { apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", metadata: { namespace: "istio-system" }, spec };
    writeFileSync(join(directory, `manifests/profiles/${name}.yaml`), stringify(operator, { aliasDuplicateObjects: false }));
  }
  const istioctl = join(directory, "bin/istioctl");
  rmSync(istioctl, { force: true });
  symlinkSync(join(release.root, "bin/serin"), istioctl);
}

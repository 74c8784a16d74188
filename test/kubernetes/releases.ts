// The two releases of a mesh upgrade. A release's version is that of its images.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chooseImages, ImageLayout } from "../../src/cli/image/image-layout.ts";
import { parseImageReference } from "../../src/cluster/images/image-reference.ts";
import { root } from "./real-cluster.ts";

export interface Release {
  /** A layout that `npm run image` has written. */
  readonly images: string;
  readonly hub: string;
  readonly version: string;
  /** The `serin` of this release's users. */
  readonly serin: string;
}

export const ownSerin = join(root, "bin/serin");
const ownVersion = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string })
  .version;
/** The version of the next release, if its images are built from this tree too. */
export const versionAfterOwn = ownVersion.replace(/\d+$/, (patch) => String(Number(patch) + 1));

export async function releaseOf(images: string, serin: string): Promise<Release> {
  const [pilot] = chooseImages(await new ImageLayout(images).images(), { names: ["pilot"], all: false });
  const { repository, tag } = parseImageReference(pilot?.reference ?? "");
  return { images, hub: repository.replace(/\/[^/]*$/, ""), version: tag, serin };
}

// Writes images that the walkthroughs name and that a release does not have: other versions of its components,
// operators, and clients with curl.
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { planImages, treeInImage, type PlannedImage } from "../../scripts/image/image-plan.ts";
import { OciLayout, type ImageConfig, type Layer, type Platform } from "../../scripts/image/oci-layout.ts";
import { ImageLayout } from "../../src/cli/image/image-layout.ts";
import { parseImageCatalogue } from "../../src/cluster/images/parse-catalogue.ts";
import { root } from "./real-cluster.ts";
import type { Release } from "./releases.ts";
import { runCommand } from "./run-command.ts";

const busybox = "/bin/busybox";
const curl = "/usr/bin/curl";
/** The directory of curl and its libraries in an image, apart from the image's own. */
const curlPlace = "opt/curl";
const programs = "usr/local/bin";

export interface GuideImages {
  /** Versions of the components. Each is the release's image, with a package.json of that version on top. */
  readonly versions?: readonly string[];
  /** Other images. The catalogue says which program of Serin each runs. */
  readonly addons?: readonly string[];
  /** Images with a shell and curl. */
  readonly clients?: readonly string[];
  /** Images of the release in which the guide runs curl. */
  readonly withCurl?: readonly string[];
}

interface Variant {
  readonly platform: Platform;
  readonly layers: readonly Layer[];
}

/** Writes a layout, and returns its directory. Leaves out layers that the release's layout has. */
export async function writeGuideImages(directory: string, release: Release, wanted: GuideImages): Promise<string> {
  mkdirSync(directory, { recursive: true });
  const layout = new OciLayout(join(directory, "guide-images"));
  layout.open();
  const addLayer = (fill: (tree: string) => void): Layer => {
    const tree = mkdtempSync(join(directory, "tree-"));
    chmodSync(tree, 0o755);
    fill(tree);
    const layer = layout.addLayer(tree);
    rmSync(tree, { recursive: true });
    return layer;
  };
  const { versions = [], addons = [], clients = [], withCurl = [] } = wanted;
  const curlLayers = clients.length + withCurl.length === 0 ? [] : [addLayer(writeCurl)];
  if (clients.length > 0) {
    const layers = [addLayer(writeShell), ...curlLayers];
    const platform: Platform = { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" };
    for (const name of clients)
      layout.addImage(name, { entrypoint: [], environment: clientEnvironment, labels: {} }, [{ platform, layers }]);
  }
  const plan = (version: string, manifests: readonly string[]): PlannedImage[] =>
    planImages({ catalogue: catalogue(), hub: release.hub, version, manifests });
  const add = async (image: PlannedImage, from: string, more: readonly Layer[]): Promise<void> => {
    const config: ImageConfig = { ...image, labels: {}, environment: { ...baseEnvironment, ...image.environment } };
    const variants = await variantsOf(release, from);
    layout.addImage(
      image.reference,
      config,
      variants.map((one) => ({ ...one, layers: [...one.layers, ...more] })),
    );
  };
  const pilot = `${release.hub}/pilot:${release.version}`;
  for (const version of versions) {
    const named = addLayer((tree) => writeVersion(tree, version));
    for (const image of plan(version, [])) await add(image, pilot, [named]);
  }
  const manifests = (names: readonly string[]): string[] => names.map((name) => `image: ${name}`);
  const isOther = ({ kind }: PlannedImage): boolean => kind !== "component";
  for (const image of plan(release.version, manifests(addons)).filter(isOther)) await add(image, pilot, []);
  for (const image of plan(release.version, manifests(withCurl)).filter(isOther))
    await add(image, image.reference, curlLayers);
  layout.close();
  return join(directory, "guide-images");
}

/** PS1 is the prompt that a guide shows. */
const clientEnvironment = { PATH: `/${programs}:/bin`, PS1: "[ root@$HOSTNAME:$PWD ]$ " };

/** The environment of the release's images, as `scripts/build-image.ts` sets it, with the guides' programs in PATH. */
const baseEnvironment = { PATH: `/${programs}:/usr/bin:/bin`, HOME: "/tmp", NODE_COMPILE_CACHE: "/tmp/serin" };

function catalogue(): ReturnType<typeof parseImageCatalogue> {
  const file = "manifests/images.yaml";
  return parseImageCatalogue(readFileSync(join(root, file), "utf8"), file);
}

async function variantsOf({ images }: Release, reference: string): Promise<Variant[]> {
  const layout = new ImageLayout(images);
  const image = (await layout.images()).find((one) => one.reference === reference);
  if (image === undefined) throw new Error(`${images} has no image ${reference}`);
  return await Promise.all(
    image.variants.map(async ({ architecture, config, layers }) => {
      const { rootfs } = JSON.parse((await layout.read(config)).toString("utf8")) as {
        readonly rootfs: { readonly diff_ids: readonly string[] };
      };
      return {
        platform: { os: "linux", architecture: architecture === "arm64" ? "arm64" : "amd64" },
        layers: layers.map((descriptor, index) => ({ descriptor, diffId: rootfs.diff_ids[index] ?? "" })),
      };
    }),
  );
}

function writeVersion(tree: string, version: string): void {
  const place = join(tree, treeInImage);
  mkdirSync(place, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(join(place, "package.json"), `${JSON.stringify({ ...manifest, version }, undefined, 2)}\n`);
}

function writeShell(tree: string): void {
  for (const place of ["bin", "tmp", "proc", "sys", "dev", "etc", "root"]) mkdirSync(join(tree, place));
  writeFileSync(join(tree, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  writeFileSync(join(tree, "etc/nsswitch.conf"), "passwd: files\nhosts: files dns\n");
  copyFileSync(busybox, join(tree, "bin/busybox"));
  for (const applet of runCommand([busybox, "--list"]).split("\n"))
    if (applet !== "" && applet !== "busybox") symlinkSync("busybox", join(tree, "bin", applet));
}

/** Copies the machine's curl, with its libraries and the loader that finds them. */
function writeCurl(tree: string): void {
  const place = join(tree, curlPlace);
  for (const directory of [place, join(tree, programs)]) mkdirSync(directory, { recursive: true });
  const libraries = [...runCommand(["ldd", curl]).matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
  const loader = libraries.find((path) => basename(path).startsWith("ld-linux"));
  if (loader === undefined) throw new Error(`${curl} is linked with no libraries: expected a dynamic program`);
  for (const path of [curl, ...libraries]) copyFileSync(path, join(place, basename(path)));
  const script = `#!/bin/sh\nexec /${curlPlace}/${basename(loader)} --library-path /${curlPlace} /${curlPlace}/curl "$@"\n`;
  writeFileSync(join(tree, programs, "curl"), script, { mode: 0o755 });
}

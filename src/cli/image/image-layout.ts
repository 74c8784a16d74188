// Reads an OCI image layout (image-spec 1.1) as `npm run image` writes it: named images, one manifest for each
// architecture.
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { defaultHub } from "../../api/images/index.ts";
import { userError, type SerinError } from "../../base/index.ts";
import { reasonOf } from "../user-file.ts";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface ImageVariant {
  readonly architecture: string;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface LayoutImage {
  /** The whole name, such as `registry.example.com/mesh/pilot:0.2.0`. */
  readonly reference: string;
  /** The blob that lists the image's variants. */
  readonly index: Descriptor;
  readonly variants: readonly ImageVariant[];
}

interface Named {
  readonly annotations?: Readonly<Record<string, unknown>>;
  readonly platform?: { readonly architecture?: unknown };
}

const nameAnnotation = "org.opencontainers.image.ref.name";
const hint = "run `npm run image` in a checkout of Serin; the package that npm installs has no images";
/** The maximum size of a JSON document, which is read into memory. */
const maxDocumentBytes = 4 * 1024 * 1024;

export class ImageLayout {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  async images(): Promise<readonly LayoutImage[]> {
    const file = join(this.directory, "index.json");
    const bytes = await readFile(file).catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT")
        throw userError("image-layout-invalid", `cannot read ${file}: ${reasonOf(cause)}`);
      throw userError("image-layout-invalid", `there are no images in ${this.directory}: index.json is missing`, {
        hint: `${hint}; --layout names another directory`,
      });
    });
    const images: LayoutImage[] = [];
    for (const entry of this.#entriesOf(bytes, file)) {
      const reference = entry.annotations?.[nameAnnotation];
      if (typeof reference !== "string") throw this.#invalid(file, `an entry has no annotation ${nameAnnotation}`);
      images.push({ reference, index: entry, variants: await this.#variantsOf(entry) });
    }
    return images;
  }

  pathOf({ digest }: Descriptor): string {
    return join(this.directory, "blobs/sha256", digest.slice(digest.indexOf(":") + 1));
  }

  async check(blob: Descriptor): Promise<void> {
    const found = await stat(this.pathOf(blob)).catch(() => undefined);
    if (found?.size !== blob.size)
      throw this.#invalid(
        this.pathOf(blob),
        found === undefined ? "the file is missing" : `it has ${found.size} bytes, expected ${blob.size}`,
      );
  }

  /** Reads a document of the layout. Throws if its content does not have the digest. */
  async read(blob: Descriptor): Promise<Buffer> {
    const file = this.pathOf(blob);
    if (blob.size > maxDocumentBytes)
      throw this.#invalid(file, `it has ${blob.size} bytes, at most ${maxDocumentBytes} are read`);
    await this.check(blob);
    const bytes = await readFile(file);
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    if (digest !== blob.digest)
      throw this.#invalid(file, `its content has the digest ${digest}, expected ${blob.digest}`);
    return bytes;
  }

  async #variantsOf(index: Descriptor): Promise<ImageVariant[]> {
    const variants: ImageVariant[] = [];
    for (const manifest of this.#entriesOf(await this.read(index), this.pathOf(index))) {
      const file = this.pathOf(manifest);
      const { config, layers } = this.#object(await this.read(manifest), file);
      if (!Array.isArray(layers)) throw this.#invalid(file, "layers is not a list");
      const architecture = manifest.platform?.architecture;
      if (typeof architecture !== "string") throw this.#invalid(file, "its entry names no architecture");
      variants.push({
        architecture,
        manifest,
        config: this.#descriptor(config, file),
        layers: layers.map((layer) => this.#descriptor(layer, file)),
      });
    }
    return variants;
  }

  #entriesOf(bytes: Buffer, file: string): readonly (Descriptor & Named)[] {
    const { manifests } = this.#object(bytes, file);
    if (!Array.isArray(manifests)) throw this.#invalid(file, "manifests is not a list");
    return manifests.map((entry) => this.#descriptor(entry, file));
  }

  #object(bytes: Buffer, file: string): Record<string, unknown> {
    try {
      const value: unknown = JSON.parse(bytes.toString());
      if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
    } catch {
      // Not JSON: the error below says so.
    }
    throw this.#invalid(file, "not a JSON object");
  }

  /** Checks a descriptor. Its digest becomes a part of a path, so it must have the exact form of a digest. */
  #descriptor(value: unknown, file: string): Descriptor & Named {
    const { mediaType, digest, size } = (value ?? {}) as Record<string, unknown>;
    if (typeof digest !== "string" || !/^sha256:[0-9a-f]{64}$/.test(digest))
      throw this.#invalid(file, `digest is ${JSON.stringify(digest)}, expected sha256:<64 hex digits>`);
    if (typeof mediaType !== "string" || !Number.isSafeInteger(size))
      throw this.#invalid(file, `the entry of ${digest} lacks its mediaType or size`);
    return value as Descriptor & Named;
  }

  #invalid(file: string, fault: string): SerinError {
    return userError("image-layout-invalid", `${file}: ${fault}: this layout of images cannot be used`, {
      hint,
    });
  }
}

export interface Choice {
  /** The full names of images, or short ones such as `pilot`. */
  readonly names: readonly string[];
  /** Whether to include images that have names of other projects. Applies only if `names` is empty. */
  readonly all: boolean;
}

/** The short names of the mesh's own components in manifests/images.yaml. All their images have the mesh's hub. */
const components: ReadonlySet<string> = new Set(["pilot", "install-cni", "ztunnel", "proxyv2", "serin", "operator"]);

/** The images with these names. Without names, the images of the mesh, or all images if `all` is set. */
export function chooseImages(images: readonly LayoutImage[], { names, all }: Choice): readonly LayoutImage[] {
  if (names.length === 0) return all ? images : ownImages(images);
  const chosen = new Set<LayoutImage>();
  for (const name of names) {
    const found = images.filter(({ reference }) => reference === name || shortName(reference) === name);
    if (found.length === 0)
      throw userError("image-unknown", `the layout has no image called ${name}`, {
        hint: "`serin image list` prints the names; a short one, such as pilot, is enough",
      });
    for (const image of found) chosen.add(image);
  }
  return [...chosen];
}

/**
 * The images of the mesh. Images for samples and addons have the names of other projects' images, because manifests
 * name those. On a node that has such an image, every pod that names it starts Serin's program, even a pod that has
 * nothing to do with Serin. So the user has to ask for them.
 */
function ownImages(images: readonly LayoutImage[]): readonly LayoutImage[] {
  const component = images.find(({ reference }) => components.has(shortName(reference)));
  const hub = component === undefined ? defaultHub : hubOf(component.reference);
  const own = images.filter(({ reference }) => hubOf(reference) === hub);
  if (own.length === 0)
    throw userError("image-unknown", `the layout has no image of the mesh: none is under ${hub}`, {
      hint: "name the images to take; `serin image list` prints the names",
    });
  return own;
}

function hubOf(reference: string): string {
  return reference.slice(0, reference.lastIndexOf("/"));
}

/** For example `pilot` for `registry.example.com/mesh/pilot:0.2.0`. */
export function shortName(reference: string): string {
  const last = reference.slice(reference.lastIndexOf("/") + 1);
  return last.includes(":") ? last.slice(0, last.indexOf(":")) : last;
}

/** The variant for an architecture. Throws a user error that names the existing ones if there is none. */
export function variantOf({ reference, variants }: LayoutImage, architecture: string): ImageVariant {
  const found = variants.find((variant) => variant.architecture === architecture);
  if (found !== undefined) return found;
  const known = variants.map((variant) => variant.architecture).join(", ");
  throw userError("image-architecture", `${reference} does not exist for ${architecture}; it exists for ${known}`, {
    hint: `--arch ${variants[0]?.architecture ?? ""}, or npm run image -- --arch ${architecture}`,
  });
}

/** Lists each blob of these variants once. A variant's small documents come before its layers. */
export function blobsOf(variants: readonly ImageVariant[]): readonly Descriptor[] {
  const blobs = new Map<string, Descriptor>();
  for (const { manifest, config, layers } of variants)
    for (const blob of [manifest, config, ...layers]) blobs.set(blob.digest, blob);
  return [...blobs.values()];
}

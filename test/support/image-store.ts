// Reads an OCI layout of images, and unpacks their files as a container runtime does.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { UnpackedImage } from "./runc-container.ts";

interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Index {
  readonly manifests: readonly Descriptor[];
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

interface Configuration {
  readonly architecture: string;
  readonly config: {
    readonly Entrypoint: readonly string[];
    readonly Cmd?: readonly string[];
    readonly Env: readonly string[];
    readonly User: string;
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

export interface StoredImage {
  readonly manifest: Manifest;
  readonly configuration: Configuration;
}

/** A layer's digest, and its digest before compression. */
type Layer = readonly [digest: string, diffId: string | undefined];

const nameAnnotations = ["io.containerd.image.name", "org.opencontainers.image.ref.name"] as const;
const ownArchitecture = process.arch === "x64" ? "amd64" : process.arch;

export class ImageStore {
  /** By name, then by architecture. */
  readonly images: ReadonlyMap<string, ReadonlyMap<string, StoredImage>>;
  readonly #layout: string;
  readonly #scratch: string;
  readonly #roots = new Map<string, string>();

  constructor(images: ImageStore["images"], layout: string, scratch: string) {
    this.images = images;
    this.#layout = layout;
    this.#scratch = scratch;
  }

  /** Opens a layout. Files are unpacked into directories in `scratch`. */
  static open(layout: string, scratch: string): ImageStore {
    const { manifests } = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as Index;
    const images = new Map(manifests.map((entry) => [nameOf(entry), variantsOf(layout, entry)]));
    // runc refuses a root below a symbolic link.
    return new ImageStore(images, layout, realpathSync(scratch));
  }

  /**
   * The image's files for this machine. Undefined if the layout has no such image. Images with the same layers share a
   * directory.
   */
  unpacked(reference: string): UnpackedImage | undefined {
    const image = this.images.get(reference)?.get(ownArchitecture);
    if (image === undefined) return undefined;
    const { Entrypoint, Cmd = [], Env, User } = image.configuration.config;
    return { root: this.unpack(image), entrypoint: Entrypoint, arguments: Cmd, environment: Env, user: User };
  }

  /** Unpacks all layers. Checks each against the image's configuration. */
  unpack({ manifest, configuration }: StoredImage): string {
    return this.#rootOf(manifest.layers.map(({ digest }, index) => [digest, configuration.rootfs.diff_ids[index]]));
  }

  /**
   * A directory with the files of these layers. Most files are in lower layers, which several images share, so their
   * directories share them by hard links. A container adds files to its image, but changes none in place.
   */
  #rootOf(layers: readonly Layer[]): string {
    const key = layers.map(([digest]) => digest).join();
    const known = this.#roots.get(key);
    if (known !== undefined) return known;
    const top = layers.at(-1);
    const below = top === undefined ? undefined : this.#rootOf(layers.slice(0, -1));
    const root = join(this.#scratch, `root-${this.#roots.size}`);
    if (below === undefined) mkdirSync(root);
    else run("cp", ["--archive", "--link", below, root]);
    if (top !== undefined) {
      const [digest, diffId] = top;
      const tar = gunzipSync(readBlob(this.#layout, digest));
      assert.equal(sha256(tar), diffId);
      run("tar", ["--extract", "--directory", root, "--no-same-owner", "--same-permissions"], tar);
    }
    this.#roots.set(key, root);
    return root;
  }
}

function run(program: string, args: readonly string[], input?: Buffer): void {
  const { status, stderr } = spawnSync(program, args, input === undefined ? {} : { input });
  assert.equal(status, 0, `${program}: ${stderr.toString()}`);
}

function variantsOf(layout: string, entry: Descriptor): Map<string, StoredImage> {
  return new Map(
    readDocument<Index>(layout, entry.digest).manifests.map(({ digest, platform }) => {
      const manifest = readDocument<Manifest>(layout, digest);
      const configuration = readDocument<Configuration>(layout, manifest.config.digest);
      return [platform?.architecture ?? "", { manifest, configuration }];
    }),
  );
}

function readDocument<Value>(layout: string, digest: string): Value {
  return JSON.parse(readBlob(layout, digest).toString()) as Value;
}

function readBlob(layout: string, digest: string): Buffer {
  const bytes = readFileSync(join(layout, "blobs", digest.replace(":", "/")));
  assert.equal(sha256(bytes), digest);
  return bytes;
}

function nameOf({ annotations }: Descriptor): string {
  const [name = "", again] = nameAnnotations.map((annotation) => annotations?.[annotation]);
  assert.equal(name, again, "containerd and skopeo find an image by the same name");
  return name;
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

// Writes an OCI image layout (image-spec 1.1): blobs by digest, and one index that names every image.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { writeTar } from "./write-tar.ts";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/**
 * A layer as a manifest describes it, and the digest of its bytes before compression, which the image configuration
 * needs.
 */
export interface Layer {
  readonly descriptor: Descriptor;
  readonly diffId: string;
}

export interface Platform {
  readonly os: "linux";
  readonly architecture: "amd64" | "arm64";
}

export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly arguments?: readonly string[];
  /** `user:group` as numbers, so that a kubelet can see that the user is not root. Absent for root. */
  readonly user?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";
const configType = "application/vnd.oci.image.config.v1+json";
const layerType = "application/vnd.oci.image.layer.v1.tar+gzip";
/** The level of gzip. Level 9 takes more than twice the time, and its layers are only 0.14 % smaller. */
const compressionLevel = 7;
const zeroTime = "1970-01-01T00:00:00Z";

export class OciLayout {
  readonly #directory: string;
  readonly #images: unknown[] = [];
  /** The layers by their digest before compression. Architectures share the layers that contain no machine code. */
  readonly #layers = new Map<string, Layer>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Starts a new layout and removes what an earlier build left. */
  open(): void {
    rmSync(this.#directory, { recursive: true, force: true });
    mkdirSync(join(this.#directory, "blobs/sha256"), { recursive: true });
    writeFileSync(join(this.#directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  }

  /** Adds the files below a directory as a layer. The same files give the same digest. */
  addLayer(root: string): Layer {
    const scratch = join(this.#directory, "layer.tar");
    writeTar(scratch, root, ".");
    const tar = readFileSync(scratch);
    rmSync(scratch);
    const diffId = digestOf(tar);
    const known = this.#layers.get(diffId);
    if (known !== undefined) return known;
    const layer = { descriptor: this.#addBlob(layerType, gzipSync(tar, { level: compressionLevel })), diffId };
    this.#layers.set(diffId, layer);
    return layer;
  }

  /** Adds one image by its full name. Platforms differ only in their layers. */
  addImage(
    reference: string,
    config: ImageConfig,
    variants: readonly { readonly platform: Platform; readonly layers: readonly Layer[] }[],
  ): void {
    const manifests = variants.map(({ platform, layers }) => {
      const configuration = this.#addJson(configType, {
        created: zeroTime,
        ...platform,
        config: {
          ...(config.user === undefined ? {} : { User: config.user }),
          Entrypoint: config.entrypoint,
          ...(config.arguments === undefined || config.arguments.length === 0 ? {} : { Cmd: config.arguments }),
          Env: Object.entries(config.environment).map(([key, value]) => `${key}=${value}`),
          WorkingDir: "/",
          Labels: config.labels,
        },
        rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
      });
      const manifest = this.#addJson(manifestType, {
        schemaVersion: 2,
        mediaType: manifestType,
        config: configuration,
        layers: layers.map((layer) => layer.descriptor),
        annotations: config.labels,
      });
      return { ...manifest, platform };
    });
    const index = this.#addJson(indexType, {
      schemaVersion: 2,
      mediaType: indexType,
      manifests,
      annotations: config.labels,
    });
    // containerd reads the image's name from an annotation of its own. skopeo and podman read it from that of the
    // specification.
    const names = { "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference };
    this.#images.push({ ...index, annotations: names });
  }

  addDocument(name: string, text: string): void {
    const file = join(this.#directory, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  close(): void {
    writeFileSync(
      join(this.#directory, "index.json"),
      `${JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: this.#images }, undefined, 2)}\n`,
    );
  }

  #addJson(mediaType: string, value: unknown): Descriptor {
    return this.#addBlob(mediaType, Buffer.from(JSON.stringify(value)));
  }

  #addBlob(mediaType: string, bytes: Buffer): Descriptor {
    const digest = digestOf(bytes);
    writeFileSync(join(this.#directory, "blobs", digest.replace(":", "/")), bytes);
    return { mediaType, digest, size: bytes.length };
  }
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

// Writes an OCI image layout (image-spec 1.1): blobs by their digest, one index that names every image.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { writeTar } from "./write-tar.ts";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** A layer as a manifest names it, and its digest before compression, which the configuration names. */
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
  /** `user:group` in numbers: a kubelet can tell from a number alone that it is not root. Absent: root. */
  readonly user?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";
const configType = "application/vnd.oci.image.config.v1+json";
const layerType = "application/vnd.oci.image.layer.v1.tar+gzip";
const zeroTime = "1970-01-01T00:00:00Z";

export class OciLayout {
  readonly #directory: string;
  readonly #images: unknown[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Begins anew: what an earlier build left is removed. */
  open(): void {
    rmSync(this.#directory, { recursive: true, force: true });
    mkdirSync(join(this.#directory, "blobs/sha256"), { recursive: true });
    writeFileSync(join(this.#directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  }

  /** The files below a directory as a layer; the same files give the same digest. */
  addLayer(root: string): Layer {
    const scratch = join(this.#directory, "layer.tar");
    writeTar(scratch, root, ".");
    const tar = readFileSync(scratch);
    rmSync(scratch);
    return {
      descriptor: this.#addBlob(layerType, gzipSync(tar, { level: constants.Z_BEST_COMPRESSION })),
      diffId: digestOf(tar),
    };
  }

  /** One image by its whole name, the same for every platform but for its layers. */
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
    // containerd takes its own annotation as the name that pods ask for; skopeo and podman take the specification's.
    const names = { "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference };
    this.#images.push({ ...index, annotations: names });
  }

  /** A document beside the images. */
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

import { createReadStream } from "node:fs";
import { userError } from "../../base/index.ts";
import type { Descriptor, ImageLayout, LayoutImage } from "./image-layout.ts";
import { bodyOf, type RegistryClient } from "./registry-client.ts";

export interface Destination {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
}

export interface PushedImage {
  readonly sentBytes: number;
  /** How many blobs the registry already had, in this repository or in another. */
  readonly reused: number;
  readonly sent: number;
}

export function destinationOf(reference: string): Destination {
  const [, registry = "", repository = "", tag = ""] =
    /^([^/]+)\/([a-z0-9][a-z0-9._/-]*):([\w][\w.-]{0,127})$/.exec(reference) ?? [];
  const isHost = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$/.test(registry) && /[.:]|^localhost$/.test(registry);
  if (repository === "" || !isHost)
    throw userError("image-name-invalid", `${reference} is not a full image name: expected REGISTRY/REPOSITORY:TAG`, {
      hint: "--hub takes a registry and a path in it, such as registry.example.com:5000/mesh",
    });
  return { registry, repository, tag };
}

/** Sends images to one registry, one after another. Skips blobs that the registry has. */
export class ImagePusher {
  readonly #layout: ImageLayout;
  readonly #client: RegistryClient;
  /** By the digest of a blob, a repository that contains it. */
  readonly #repositories = new Map<string, string>();

  constructor(layout: ImageLayout, client: RegistryClient) {
    this.#layout = layout;
    this.#client = client;
  }

  /**
   * Sends one image for all its architectures. Sends blobs before the manifests that name them, so that no client pulls
   * a manifest without its blobs. Throws if a blob of the layout is damaged, or if the registry refuses.
   */
  async push(image: LayoutImage, { repository, tag }: Destination): Promise<PushedImage> {
    const blobs = new Map(
      image.variants.flatMap(({ config, layers }) => [config, ...layers]).map((blob) => [blob.digest, blob]),
    );
    for (const blob of blobs.values()) await this.#layout.check(blob);
    let [sent, sentBytes] = [0, 0];
    for (const blob of blobs.values()) {
      const isNew = await this.#pushBlob(blob, repository);
      this.#repositories.set(blob.digest, repository);
      if (!isNew) continue;
      sent += 1;
      sentBytes += blob.size;
    }
    for (const { manifest } of image.variants) await this.#pushManifest(manifest, repository, manifest.digest);
    await this.#pushManifest(image.index, repository, tag);
    return { sent, sentBytes, reused: blobs.size - sent };
  }

  async #pushBlob(blob: Descriptor, repository: string): Promise<boolean> {
    const path = `/v2/${repository}/blobs`;
    const there = await this.#client.send({ method: "HEAD", target: `${path}/${blob.digest}`, repository });
    if (there.status === 200) return false;
    const other = this.#repositories.get(blob.digest);
    const from =
      other === undefined || other === repository
        ? ""
        : `?mount=${encodeURIComponent(blob.digest)}&from=${encodeURIComponent(other)}`;
    const opened = await this.#client.send({ method: "POST", target: `${path}/uploads/${from}`, repository });
    if (opened.status === 201) return false;
    const location = opened.headers.location;
    if (opened.status !== 202 || location === undefined)
      throw userError(
        "registry-refused",
        `${this.#client.registry} answered the start of an upload with ${opened.status}, expected 202 and a Location`,
        { hint: "check that a registry answers there, not a proxy" },
      );
    await this.#client.send({
      method: "PUT",
      target: withDigest(new URL(location, this.#client.url), blob.digest),
      repository,
      contentType: "application/octet-stream",
      body: { sizeBytes: blob.size, open: () => createReadStream(this.#layout.pathOf(blob)) },
    });
    return true;
  }

  async #pushManifest(manifest: Descriptor, repository: string, name: string): Promise<void> {
    await this.#client.send({
      method: "PUT",
      target: `/v2/${repository}/manifests/${name}`,
      repository,
      contentType: manifest.mediaType,
      body: bodyOf(await this.#layout.read(manifest)),
    });
  }
}

/**
 * Adds the digest to an upload address. Keeps the rest unchanged, because it contains the registry's state of the
 * upload.
 */
function withDigest(location: URL, digest: string): URL {
  location.search += `${location.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`;
  return location;
}

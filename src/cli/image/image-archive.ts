// Writes an archive of images as a stream: an OCI layout in a tar, or the format of `docker load`.
import { createReadStream } from "node:fs";
import { tarEnd, tarHeader, tarPadding } from "../tar-header.ts";
import { blobsOf, variantOf, type Descriptor, type ImageLayout, type LayoutImage } from "./image-layout.ts";

export interface ArchiveContent {
  readonly documents: ReadonlyMap<string, string>;
  readonly blobs: readonly Descriptor[];
}

const json = (value: unknown): string => `${JSON.stringify(value)}\n`;

/** An OCI layout with the images' variants for the architecture, or for all architectures if it is undefined. */
export function ociArchive(images: readonly LayoutImage[], architecture: string | undefined): ArchiveContent {
  const entries = images.map((image) => {
    const { reference, index } = image;
    // containerd reads the image's name from an annotation of its own, and skopeo and podman read it from the one in
    // OCI's specification.
    const annotations = { "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference };
    if (architecture === undefined) return { descriptor: index, variants: image.variants, annotations };
    const variant = variantOf(image, architecture);
    return {
      descriptor: { ...variant.manifest, platform: { os: "linux", architecture } },
      variants: [variant],
      annotations,
    };
  });
  const lists = entries.map(({ descriptor }) => descriptor);
  const all = new Map(
    [...lists, ...blobsOf(entries.flatMap(({ variants }) => variants))].map((blob) => [blob.digest, blob]),
  );
  return {
    documents: new Map([
      ["oci-layout", json({ imageLayoutVersion: "1.0.0" })],
      [
        "index.json",
        json({
          schemaVersion: 2,
          mediaType: "application/vnd.oci.image.index.v1+json",
          manifests: entries.map(({ descriptor, annotations }) => ({ ...descriptor, annotations })),
        }),
      ],
    ]),
    blobs: [...all.values()],
  };
}

/**
 * Docker's format has one architecture for each name. The layers stay compressed: readers recognise compression by the
 * first bytes.
 */
export function dockerArchive(images: readonly LayoutImage[], architecture: string): ArchiveContent {
  const variants = images.map((image) => ({ image, variant: variantOf(image, architecture) }));
  const entries = variants.map(({ image, variant }) => ({
    Config: pathInArchive(variant.config),
    RepoTags: [image.reference],
    Layers: variant.layers.map(pathInArchive),
  }));
  const manifests = new Set(variants.map(({ variant }) => variant.manifest.digest));
  return {
    documents: new Map([["manifest.json", json(entries)]]),
    blobs: blobsOf(variants.map(({ variant }) => variant)).filter(({ digest }) => !manifests.has(digest)),
  };
}

/** Yields the archive's bytes. First checks that every blob exists, so that an incomplete layout yields nothing. */
export async function* archiveBytes(layout: ImageLayout, content: ArchiveContent): AsyncGenerator<Buffer, void> {
  for (const blob of content.blobs) await layout.check(blob);
  for (const [path, text] of content.documents) {
    const bytes = Buffer.from(text);
    yield Buffer.concat([
      tarHeader({ path, sizeBytes: bytes.length, modifiedSeconds: 0 }),
      bytes,
      tarPadding(bytes.length),
    ]);
  }
  for (const blob of content.blobs) {
    yield tarHeader({ path: pathInArchive(blob), sizeBytes: blob.size, modifiedSeconds: 0 });
    for await (const piece of createReadStream(layout.pathOf(blob))) yield piece as Buffer;
    yield tarPadding(blob.size);
  }
  yield tarEnd;
}

function pathInArchive({ digest }: Descriptor): string {
  return `blobs/${digest.replace(":", "/")}`;
}

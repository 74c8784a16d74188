import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { tarEnd, tarHeader, tarPadding } from "../../tar-header.ts";
import type { Descriptor } from "../image-layout.ts";

const oci = "application/vnd.oci.image";

/** Writes an OCI layout of these images for amd64 and arm64. All share one layer, and each has a layer of its own. */
export function writeSmallLayout(directory: string, references: readonly string[]): void {
  mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
  const digestOf = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const add = (mediaType: string, bytes: Buffer): Descriptor => {
    const digest = digestOf(bytes);
    writeFileSync(join(directory, "blobs", digest.replace(":", "/")), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const addJson = (mediaType: string, value: object): Descriptor => add(mediaType, Buffer.from(JSON.stringify(value)));
  const addLayer = (path: string, text: string): { descriptor: Descriptor; diffId: string } => {
    const content = Buffer.from(text);
    const header = tarHeader({ path, sizeBytes: content.length, modifiedSeconds: 0 });
    const tar = Buffer.concat([header, content, tarPadding(content.length), tarEnd]);
    return { descriptor: add(`${oci}.layer.v1.tar+gzip`, gzipSync(tar)), diffId: digestOf(tar) };
  };
  const entries = references.map((reference) => {
    const manifests = ["amd64", "arm64"].map((architecture) => {
      const layers = [addLayer("etc/shared", architecture), addLayer("etc/own", reference + architecture)];
      const config = addJson(`${oci}.config.v1+json`, {
        created: "1970-01-01T00:00:00Z",
        os: "linux",
        architecture,
        config: { Entrypoint: ["/bin/own"] },
        rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
      });
      const manifest = addJson(`${oci}.manifest.v1+json`, {
        schemaVersion: 2,
        mediaType: `${oci}.manifest.v1+json`,
        config,
        layers: layers.map(({ descriptor }) => descriptor),
      });
      return { ...manifest, platform: { os: "linux", architecture } };
    });
    const index = addJson(`${oci}.index.v1+json`, {
      schemaVersion: 2,
      mediaType: `${oci}.index.v1+json`,
      manifests,
    });
    return { ...index, annotations: { "org.opencontainers.image.ref.name": reference } };
  });
  writeFileSync(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: entries }));
}

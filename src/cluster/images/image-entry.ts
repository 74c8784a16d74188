import type { AppletName } from "./applets.ts";

/** An entry of `manifests/images.yaml`, after validation. The file explains the fields. */
export interface ImageEntry {
  readonly images: readonly string[];
  readonly release: "tag" | "cluster";
  readonly entrypoint: readonly string[];
  readonly arguments: readonly string[];
  readonly aliases: readonly string[];
  readonly applets: readonly AppletName[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** The numeric `user:group` in the configuration of an image that is built from this entry. */
  readonly user: string;
}

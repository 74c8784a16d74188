import type { AppletName } from "./applets.ts";

/** A checked entry of `manifests/images.yaml`. The file explains the fields. */
export interface ImageEntry {
  readonly images: readonly string[];
  readonly release: "tag" | "cluster";
  readonly entrypoint: readonly string[];
  readonly arguments: readonly string[];
  readonly aliases: readonly string[];
  readonly applets: readonly AppletName[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** `user:group` as numbers, for an image built from this entry. */
  readonly user: string;
}

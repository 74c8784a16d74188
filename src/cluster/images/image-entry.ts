/** An entry of `manifests/images.yaml`, checked; the file says what each field means. */
export interface ImageEntry {
  readonly images: readonly string[];
  readonly release: "tag" | "cluster";
  readonly entrypoint: readonly string[];
  readonly arguments: readonly string[];
  readonly aliases: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** `user:group` in numbers, of an image that is built of this entry. */
  readonly user: string;
}

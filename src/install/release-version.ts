import { imageTag, withoutDigest } from "../api/images/index.ts";

/**
 * The release in an image's tag, without the suffixes `-distroless` and `-debug` and without a digest. Returns
 * undefined if the image has no tag.
 */
export function releaseOfImage(image: string): string | undefined {
  const tag = imageTag(image);
  return tag === "" ? undefined : withoutVariant(tag);
}

/**
 * Whether `release` is newer than `than`. Variants of an image are the same release, and a release is newer than its
 * prereleases. Returns false if one of the two cannot be compared, such as `latest` and `1.2.0-5-gabc`.
 */
export function isNewerRelease(release: string, than: string): boolean {
  const [left, right] = [orderOf(release), orderOf(than)];
  if (left === undefined || right === undefined) return false;
  for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

function withoutVariant(tag: string): string {
  return withoutDigest(tag).replace(/-(distroless|debug)$/, "");
}

/** The stages of prereleases, the earliest first. */
const stages = ["dev", "alpha", "beta", "rc"];

/** The numbers by which releases are compared in order. Returns undefined for a name that cannot be compared. */
function orderOf(release: string): readonly number[] | undefined {
  const pattern = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:-([a-z]+)([.\d]*))?$/;
  const [, major, minor, patch = "0", stage, rest = ""] = pattern.exec(withoutVariant(release)) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  const numbers = [major, minor, patch].map(Number);
  if (stage === undefined) return [...numbers, stages.length];
  if (!stages.includes(stage)) return undefined;
  const counts = rest.split(".").filter((part) => part !== "");
  return [...numbers, stages.indexOf(stage), ...counts.map(Number)];
}

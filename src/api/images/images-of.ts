import { envString, type Environment } from "../../base/index.ts";
import { defaultHub } from "./default-hub.ts";

/**
 * The hub and tag of the images of installations that set neither. They come from the variables `HUB` and `TAG`, or
 * else from the release.
 */
export function imagesOf(env: Environment, releaseVersion: string): { readonly hub: string; readonly tag: string } {
  return { hub: envString(env, "HUB", defaultHub), tag: envString(env, "TAG", releaseVersion) };
}

export function withoutDigest(imageOrTag: string): string {
  return imageOrTag.replace(/@.*$/, "");
}

/** The tag of an image, without its digest. Empty if the image has no tag, for example if it only has a digest. */
export function imageTag(image: string): string {
  const name = withoutDigest(image);
  const colon = name.lastIndexOf(":");
  // A colon before the last slash separates the registry's host and port.
  return colon > name.lastIndexOf("/") ? name.slice(colon + 1) : "";
}

/** The tag with a suffix such as `-distroless`. A digest names one image, so a tag with a digest stays as it is. */
export function suffixedTag(tag: string, suffix: string): string {
  return tag.includes("@") || suffix === "" ? tag : `${tag}-${suffix}`;
}

const hubPattern = /^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*$/;
const tagPattern = /^\w[\w.-]{0,127}(@sha256:[0-9a-f]{64})?$/;

export function hubFault(hub: string): string | undefined {
  return hubPattern.test(hub)
    ? undefined
    : `must be a registry and a path in it, such as registry.example.com:5000/mesh, got ${JSON.stringify(hub)}`;
}

export function tagFault(tag: string): string | undefined {
  return tagPattern.test(tag)
    ? undefined
    : `must be an image's tag of letters, digits, "_", "." and "-", got ${JSON.stringify(tag)}`;
}

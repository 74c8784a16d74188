import { envString, type Environment } from "../../base/index.ts";
import { defaultHub } from "./default-hub.ts";

/**
 * The location of the images for installations that name no other location. It comes from the variables `HUB` and
 * `TAG`, or else from the release.
 */
export function imagesOf(env: Environment, releaseVersion: string): { readonly hub: string; readonly tag: string } {
  return { hub: envString(env, "HUB", defaultHub), tag: envString(env, "TAG", releaseVersion) };
}

const hubPattern = /^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*$/;
const tagPattern = /^\w[\w.-]{0,127}(@sha256:[0-9a-f]{64})?$/;

/** Why the hub is invalid. Undefined if it is valid. */
export function hubFault(hub: string): string | undefined {
  return hubPattern.test(hub)
    ? undefined
    : `must be a registry and a path in it, such as registry.example.com:5000/mesh, got ${JSON.stringify(hub)}`;
}

/** Why the tag is invalid. Undefined if it is valid. */
export function tagFault(tag: string): string | undefined {
  return tagPattern.test(tag)
    ? undefined
    : `must be an image's tag of letters, digits, "_", "." and "-", got ${JSON.stringify(tag)}`;
}

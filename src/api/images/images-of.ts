import { envString, type Environment } from "../../base/index.ts";
import { defaultHub } from "./default-hub.ts";

/** Where the images of installations are that name no others: `HUB` and `TAG`, or the release's own. */
export function imagesOf(env: Environment, releaseVersion: string): { readonly hub: string; readonly tag: string } {
  return { hub: envString(env, "HUB", defaultHub), tag: envString(env, "TAG", releaseVersion) };
}

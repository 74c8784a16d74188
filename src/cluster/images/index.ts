// Maps image names to programs, and image tags to the releases of the lab.
export { appletScripts } from "./applets.ts";
export { programDirectories, releaseInContainer, scriptDirectory } from "./container-paths.ts";
export { ImageCatalogue, type ImageUser, type ResolvedImage } from "./image-catalogue.ts";
export type { ImageEntry } from "./image-entry.ts";
export { addRelease, listReleases, runnableRelease, writeOwnRelease, type LabRelease } from "./releases.ts";

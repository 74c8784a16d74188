export { ImageCatalogue, parseImageCatalogue, releaseInContainer, type ContainerWords, type ImageEntry, type ResolvedImage } from "./image-catalogue.ts";
export { matchesImagePattern, parseImageReference, type ImageReference } from "./image-reference.ts";
export { addRelease, findRelease, listReleases, writeOwnRelease, type LabRelease, type ListedRelease } from "./releases.ts";

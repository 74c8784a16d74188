// The location of a release's images, by hub and tag.
export { defaultHub } from "./default-hub.ts";
export { hubFault, imagesOf, tagFault } from "./images-of.ts";

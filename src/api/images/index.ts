// The location of a release's images, which consists of a hub and a tag.
export { defaultHub } from "./default-hub.ts";
export { hubFault, imagesOf, imageTag, suffixedTag, tagFault, withoutDigest } from "./images-of.ts";

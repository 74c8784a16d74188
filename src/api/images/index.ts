export { defaultHub } from "./default-hub.ts";
export { hubFault, imagesOf, tagFault } from "./images-of.ts";

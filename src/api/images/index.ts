export { defaultHub } from "./default-hub.ts";
export { imagesOf } from "./images-of.ts";

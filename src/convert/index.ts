export { convertRollouts } from "./convert.ts";
export type { Conversion, ConversionNote } from "./conversion.ts";

export { addressBytes, cidrOf } from "../../base/index.ts";

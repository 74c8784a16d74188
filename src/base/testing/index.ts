export { suspicion } from "./linear-time.ts";

// Compares what proxies would be sent with and without given objects.
export { WhatIf, type WhatIfReport } from "./what-if.ts";

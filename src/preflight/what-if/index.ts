// Compares the configurations that control planes would send to proxies with and without given objects.
export { WhatIf, type WhatIfReport } from "./what-if.ts";

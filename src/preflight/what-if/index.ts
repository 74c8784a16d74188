// Compares the configurations that a control plane would send to proxies with given objects and without them.
export { WhatIf, type WhatIfReport } from "./what-if.ts";

export { WhatIf, type WhatIfReport } from "./what-if.ts";

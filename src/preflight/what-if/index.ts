export { whatIf, type WhatIfOptions, type WhatIfReport } from "./what-if.ts";

import type { LoadBalancerPort } from "../node/node-report.ts";

/** A line of `serin cluster urls`. The file `urls.json` in the state directory contains all of them. */
export interface ServiceUrl extends LoadBalancerPort {
  readonly url: string;
  readonly loopbackAddress: string;
  readonly loopbackPort: number;
}

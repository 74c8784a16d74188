import type { LoadBalancerPort } from "../node/node-report.ts";

/** A line of `serin cluster urls`. All lines are in the file `urls.json` in the state directory. */
export interface ServiceUrl extends LoadBalancerPort {
  readonly url: string;
  readonly loopbackAddress: string;
  readonly loopbackPort: number;
}

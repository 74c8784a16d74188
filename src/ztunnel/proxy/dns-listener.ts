import { serveDnsTcp, serveDnsUdp, type AnswerQuery } from "../../dataplane/dns/index.ts";
import type { PodContext } from "./pod-context.ts";

/** Answers a pod's DNS queries, which are redirected here from port 53. */
export const DnsListener = {
  /** Takes over a bound UDP descriptor. */
  async udp(pod: PodContext, fd: number, ipv6: boolean): Promise<{ close(): void }> {
    return await serveDnsUdp(fd, ipv6, answersFor(pod), pod.environment.log);
  },

  /** Takes over a listening TCP descriptor. */
  async tcp(pod: PodContext, fd: number): Promise<{ close(): void }> {
    return await serveDnsTcp({ fd }, answersFor(pod));
  },
};

function answersFor(pod: PodContext): AnswerQuery {
  return async (query, transport) => await pod.environment.dns.answer(query, pod.info, transport);
}

import { serveDnsTcp, serveDnsUdp, type AnswerQuery, type DnsServer } from "../../dataplane/dns/index.ts";
import type { PodContext } from "./pod-context.ts";

/** Answers a pod's DNS queries, which are redirected here from port 53. */
export const DnsListener = {
  /** Takes over a bound UDP descriptor. */
  async udp(pod: PodContext, fd: number, ipv6: boolean): Promise<DnsServer> {
    return await serveDnsUdp(fd, ipv6, answersFor(pod), pod.environment.log);
  },

  /** Takes over a listening TCP descriptor. Its connections count among those of the pod. */
  async tcp(pod: PodContext, fd: number): Promise<DnsServer> {
    const { limit } = pod.environment;
    return await serveDnsTcp({ fd }, answersFor(pod), (stream) => limit.admit(stream, pod.uid));
  },
};

function answersFor(pod: PodContext): AnswerQuery {
  return async (query, transport) => await pod.environment.dns.answer(query, pod.info, transport);
}

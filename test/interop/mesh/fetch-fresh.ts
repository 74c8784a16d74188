/**
 * Fetches over a new connection. At the lowest priority, seconds may pass between two turns of this process, and a
 * server may close a kept connection before the next request arrives.
 */
export async function fetchFresh(url: string): Promise<Response> {
  return await fetch(url, { headers: { connection: "close" } });
}

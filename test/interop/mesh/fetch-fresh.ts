/**
 * Fetches over a connection of its own. At the lowest priority, seconds pass between two turns of this process, and a
 * server may have closed a kept connection before the request on it arrives.
 */
export async function fetchFresh(url: string): Promise<Response> {
  return await fetch(url, { headers: { connection: "close" } });
}

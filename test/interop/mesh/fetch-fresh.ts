/**
 * Fetches over a new connection. When this process runs at the lowest priority, seconds pass between its turns, and a
 * server may close a kept connection before the request on it arrives.
 */
export async function fetchFresh(url: string): Promise<Response> {
  return await fetch(url, { headers: { connection: "close" } });
}

/** Returns the smallest count that a Poisson variable with this mean exceeds with a probability of at most 0.1 %. */
export function poissonBound(mean: number): number {
  if (mean <= 0) return 0;
  // Uses logarithms, because the first term underflows to 0 for means above 700.
  let logTerm = -mean;
  let sum = Math.exp(logTerm);
  let count = 0;
  while (sum < confidence) {
    count += 1;
    logTerm += Math.log(mean / count);
    sum += Math.exp(logTerm);
    if (count > mean + 10 * Math.sqrt(mean) + 10) break;
  }
  return count;
}

const confidence = 0.999;

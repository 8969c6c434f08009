// Runs named checks one after another and reports them in the form that `cargo xtask` reads.

const LIMIT_MS = 60_000;

export class Checks {
  #ok = 0;
  #failed = 0;

  /** Runs one check: it passes when `body` returns in time. */
  async check(name, body) {
    let timer;
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`nothing after ${LIMIT_MS} ms`)), LIMIT_MS);
    });
    try {
      await Promise.race([body(), limit]);
      this.#ok += 1;
      console.log(`ok ${name}`);
    } catch (error) {
      this.#failed += 1;
      console.log(`not ok ${name}: ${error.message.replaceAll(/\s+/g, ' ')}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Prints the totals and ends the process. */
  finish() {
    console.log(`checks: ${this.#ok} ok, ${this.#failed} failed`);
    process.exit(this.#failed === 0 && this.#ok > 0 ? 0 : 1);
  }
}

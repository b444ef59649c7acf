import CCurl
import Platform

/// One transfer. Lives on the engine's thread only.
final class Transfer {
    let job: CurlEngine.Job
    /// libcurl's easy handle; the loop owns it.
    let easy: UnsafeMutableRawPointer
    private let engine: CurlEngine
    private let errorText: UnsafeMutablePointer<CChar>
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var head = HTTPResponseHead(status: 0)
    private var headerBytes = 0
    private var body: [UInt8] = []
    private var overflow: TransferError?
    /// The piece of the request's body that is sent next, and how much of it has been.
    private var piece = 0
    private var offset = 0
    /// When the last byte of the request was handed over.
    private var sentAt: MonotonicTime?
    private var hasAnswer = false

    init(job: CurlEngine.Job, easy: UnsafeMutableRawPointer, engine: CurlEngine) {
        self.job = job
        self.easy = easy
        self.engine = engine
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    /// Frees what the handle pointed to, once it points there no more.
    func release() {
        hw_slist_free(headerList)
        headerList = nil
        errorText.deallocate()
    }

    /// When the answer has to have begun; nil while the request is being sent or with an answer.
    var firstByteDeadline: MonotonicTime? {
        let limit = job.request.options.firstByteMilliseconds
        guard !hasAnswer, limit > 0, let sentAt else { return nil }
        return sentAt + Int64(limit) * Nanoseconds.millisecond
    }

    func resume() { _ = hw_easy_continue(easy) }

    /// The outcome when libcurl has ended the transfer with `code`.
    func outcome(code: UInt32) -> CurlEngine.Outcome {
        if let overflow { return .failure(overflow) }
        let isCut = code == CURLE_WRITE_ERROR.rawValue && head.status >= 300
        guard code == CURLE_OK.rawValue || isCut else {
            var text = String(cString: errorText)
            if text.isEmpty { text = String(cString: hw_easy_strerror(Int32(code))) }
            // Bytes of requests that went out: none while it only connected.
            let wasSending = hw_easy_long(easy, CURLINFO_REQUEST_SIZE) > 0
            var error = TransferError(curl: code, message: text, wasSending: wasSending)
            if (200..<300).contains(head.status), !body.isEmpty {
                error.partial = HTTPResponse(head: head, body: body)
            }
            return .failure(error)
        }
        return .success((head, body))
    }

    // MARK: - Setting up

    func configure() {
        let request = job.request
        let options = request.options
        set(CURLOPT_URL, request.url)
        set(CURLOPT_PATH_AS_IS, 1)
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_TCP_KEEPALIVE, 1)
        set(CURLOPT_TCP_KEEPIDLE, 30)
        set(CURLOPT_TCP_KEEPINTVL, 15)
        set(CURLOPT_MAXAGE_CONN, options.idleConnectionSeconds)
        set(CURLOPT_MAXLIFETIME_CONN, Limits.connectionSeconds)
        set(CURLOPT_DNS_CACHE_TIMEOUT, 60)
        set(CURLOPT_DNS_SHUFFLE_ADDRESSES, 1)
        set(CURLOPT_BUFFERSIZE, 256 * 1024)
        set(CURLOPT_UPLOAD_BUFFERSIZE, 256 * 1024)
        set(CURLOPT_FOLLOWLOCATION, 0)
        // A transfer that ends while its host's name is looked up does not wait for that.
        set(CURLOPT_QUICK_EXIT, 1)
        set(CURLOPT_FAILONERROR, 0)
        // A proxy's answer to CONNECT is not the answer.
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        _ = hw_easy_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        set(CURLOPT_CONNECTTIMEOUT_MS, options.connectMilliseconds)
        set(CURLOPT_LOW_SPEED_LIMIT, options.lowSpeedBytes)
        set(CURLOPT_LOW_SPEED_TIME, options.lowSpeedSeconds)
        set(CURLOPT_TIMEOUT_MS, options.totalMilliseconds)
        configureConnection(options)
        configureBody(request)
        configureHeaders(request)
        hw_easy_set_callbacks(
            easy,
            Unmanaged.passUnretained(self).toOpaque(),
            { Transfer.of($3).read(into: $0, count: $1 * $2) },
            { Transfer.of($0).seek(to: Int64($1), origin: $2) },
            { Transfer.of($3).takeHeader($0, count: $1 * $2) },
            { Transfer.of($3).takeBody($0, count: $1 * $2) }
        )
    }

    private func configureConnection(_ options: HTTPOptions) {
        set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        set(CURLOPT_SSL_VERIFYPEER, options.verifiesTLS ? 1 : 0)
        set(CURLOPT_SSL_VERIFYHOST, options.verifiesTLS ? 2 : 0)
        if let file = options.authorityFile { set(CURLOPT_CAINFO, file) }
        if let folder = options.authorityFolder { set(CURLOPT_CAPATH, folder) }
        if let file = options.clientCertificate { set(CURLOPT_SSLCERT, file) }
        if let file = options.clientKey { set(CURLOPT_SSLKEY, file) }
        if let path = options.socketPath { set(CURLOPT_UNIX_SOCKET_PATH, path) }
        switch options.proxy {
        case .environment: break
        case .none: set(CURLOPT_NOPROXY, "*")
        case .url(let url): set(CURLOPT_PROXY, url)
        }
    }

    private func configureBody(_ request: HTTPRequest) {
        switch request.method {
        case .get: set(CURLOPT_HTTPGET, 1)
        case .head: set(CURLOPT_NOBODY, 1)
        case .delete: set(CURLOPT_CUSTOMREQUEST, "DELETE")
        case .put, .post:
            // As an upload, so that libcurl adds no Content-Type and rewinds by itself.
            set(CURLOPT_UPLOAD, 1)
            set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
            _ = hw_easy_set_size(easy, CURLOPT_INFILESIZE_LARGE, Int64(request.body.byteCount))
        }
        if request.body.byteCount == 0 { sentAt = .now }
    }

    private func configureHeaders(_ request: HTTPRequest) {
        for header in request.headers {
            // libcurl sends a header without a value only when a semicolon ends its name.
            let line =
                header.value.isEmpty ? header.name + ";" : "\(header.name): \(header.value)"
            headerList = hw_slist_append(headerList, line)
        }
        let asks =
            request.options.asksBeforeLargeBodies && request.body.byteCount >= Limits.expectBytes
        headerList = hw_slist_append(headerList, asks ? "Expect: 100-continue" : "Expect:")
        _ = hw_easy_set_pointer(easy, CURLOPT_HTTPHEADER, headerList)
    }

    private func set(_ option: CURLoption, _ value: Int) {
        _ = hw_easy_set_long(easy, option, value)
    }

    private func set(_ option: CURLoption, _ value: String) {
        _ = hw_easy_set_text(easy, option, value)
    }

    // MARK: - What libcurl calls

    /// libcurl hands back the pointer of `configure`; the loop keeps the object alive meanwhile.
    private static func of(_ context: UnsafeMutableRawPointer?) -> Transfer {
        Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
    }

    private func read(into buffer: UnsafeMutablePointer<CChar>?, count: Int) -> Int {
        let pieces = job.request.body.pieces
        let target = UnsafeMutableRawBufferPointer(start: buffer, count: count)
        var done = 0
        while done < count, piece < pieces.count {
            let part = min(count - done, pieces[piece].count - offset)
            pieces[piece].withUnsafeBytes { source in
                let from = UnsafeRawBufferPointer(rebasing: source[offset..<offset + part])
                UnsafeMutableRawBufferPointer(rebasing: target[done...]).copyMemory(from: from)
            }
            done += part
            offset += part
            if offset == pieces[piece].count {
                piece += 1
                offset = 0
            }
        }
        if piece == pieces.count { sentAt = .now }
        return done
    }

    private func seek(to position: Int64, origin: Int32) -> Int32 {
        guard origin == SEEK_SET, position >= 0, position <= job.request.body.byteCount else {
            return 1  // CURL_SEEKFUNC_FAIL
        }
        var rest = Int(position)
        piece = 0
        let pieces = job.request.body.pieces
        while piece < pieces.count, rest >= pieces[piece].count {
            rest -= pieces[piece].count
            piece += 1
        }
        offset = rest
        sentAt = nil
        return 0
    }

    private func takeHeader(_ bytes: UnsafeMutablePointer<CChar>?, count: Int) -> Int {
        headerBytes += count
        guard headerBytes <= Limits.headerBytes else {
            overflow = TransferError(
                .tooLarge,
                "the answer's headers are longer than \(Limits.headerBytes) bytes"
            )
            return 0
        }
        let raw = UnsafeRawBufferPointer(start: bytes, count: count)
        let line = String(decoding: raw, as: UTF8.self)
        let end = line.unicodeScalars.lastIndex { $0 != "\r" && $0 != "\n" }
        guard let end else {
            // An empty line ends the headers; after 100 Continue others follow.
            hasAnswer = head.status >= 200
            return count
        }
        head.take(line: Substring(line.unicodeScalars[...end]))
        return count
    }

    private func takeBody(_ bytes: UnsafeMutablePointer<CChar>?, count: Int) -> Int {
        let raw = UnsafeRawBufferPointer(start: bytes, count: count)
        guard head.status < 300 else {
            let room = Limits.errorBodyBytes - body.count
            body.append(contentsOf: raw.prefix(room))
            return count <= room ? count : 0
        }
        if let stream = job.stream {
            let (engine, id) = (engine, job.id)
            let isTaken = stream.push(Array(raw), head: head) { engine.submit(.resume(id)) }
            return isTaken ? count : Int(CURL_WRITEFUNC_PAUSE)
        }
        let limit = job.request.responseLimit
        guard body.count + count <= limit else {
            overflow = TransferError(
                .tooLarge,
                "the answer is longer than \(limit) bytes",
                mayHaveArrived: true
            )
            return 0
        }
        if body.isEmpty {
            let announced = Int(hw_easy_offset(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T))
            body.reserveCapacity(max(count, min(announced, limit)))
        }
        body.append(contentsOf: raw)
        return count
    }
}

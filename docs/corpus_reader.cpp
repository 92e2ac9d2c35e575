// Reads a case of the corpus (scancraft conformance --write-corpus DIR) and compares a Mamba with it, bit for bit:
//     g++ -O1 -o corpus_reader corpus_reader.cpp && ./corpus_reader DIR/mamba/*
// Only the standard library. The first half reads files; mamba() is the implementation: put yours there.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>
using std::string, std::vector;

string slurp(const string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}
double number(const string& json, const string& key) {  // of "key": 12, in flat JSON
    size_t at = json.find("\"" + key + "\"");
    if (at == string::npos) throw std::runtime_error("no " + key);
    return std::stod(json.substr(json.find(':', at) + 1));
}
struct Tensor {
    vector<size_t> shape;
    const char* data;
    float operator[](size_t i) const { float x; std::memcpy(&x, data + 4 * i, 4); return x; }
    int64_t id(size_t i) const { int64_t x; std::memcpy(&x, data + 8 * i, 8); return x; }
};
// safetensors: the length of a JSON header in 8 bytes, the header, the numbers.
std::map<string, Tensor> tensors(const string& file) {
    uint64_t length; std::memcpy(&length, file.data(), 8);
    string header = file.substr(8, length);
    std::map<string, Tensor> found;
    for (size_t at = header.find("\"dtype\""); at != string::npos; at = header.find("\"dtype\"", at + 1)) {
        size_t end = header.rfind("\":", at), start = header.rfind('"', end - 1) + 1;
        Tensor t;
        size_t place = header.find('[', header.find("\"shape\"", at)) + 1;
        while (header[place] != ']') {
            size_t used; t.shape.push_back(std::stoull(header.substr(place, 20), &used));
            place += used + (header[place + used] == ',');
        }
        size_t offset = std::stoull(header.substr(header.find('[', header.find("\"data_offsets\"", at)) + 1, 20));
        t.data = file.data() + 8 + length + offset;
        found[header.substr(start, end - start)] = t;
    }
    return found;
}

using Floats = vector<float>;
float silu(float x) { return x / (1 + std::exp(-x)); }
float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }
Floats norm(const Floats& x, const Tensor& weight, float eps) {
    float sum = 0;
    for (float v : x) sum += v * v;
    float scale = 1 / std::sqrt(sum / x.size() + eps);
    Floats y;
    for (size_t i = 0; i < x.size(); i++) y.push_back(weight[i] * (x[i] * scale));
    return y;
}
Floats linear(const Tensor& w, const Floats& x, size_t offset = 0) {
    size_t rows = w.shape[0], columns = w.shape[1];
    Floats y(rows);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) y[i] += w[i * columns + j] * x[offset + j];
    return y;
}
// Logits at every token of a word.
vector<Floats> mamba(const string& config, std::map<string, Tensor>& w, const vector<int64_t>& word) {
    size_t d = number(config, "hidden_size"), c = number(config, "intermediate_size"), n = number(config, "state_size"),
           k = number(config, "conv_kernel"), r = number(config, "time_step_rank"), layers = number(config, "num_hidden_layers");
    float eps = number(config, "layer_norm_epsilon");
    vector<vector<Floats>> past(layers, vector<Floats>(k - 1, Floats(c)));
    vector<Floats> h(layers, Floats(c * n)), told;
    for (int64_t token : word) {
        Floats stream(d);
        for (size_t i = 0; i < d; i++) stream[i] = w["backbone.embeddings.weight"][token * d + i];
        for (size_t l = 0; l < layers; l++) {
            string b = "backbone.layers." + std::to_string(l) + ".", m = b + "mixer.";
            Floats uz = linear(w[m + "in_proj.weight"], norm(stream, w[b + "norm.weight"], eps)), x(c), y(c);
            past[l].push_back(Floats(uz.begin(), uz.begin() + c));
            for (size_t i = 0; i < c; i++) {
                x[i] = w[m + "conv1d.bias"][i];
                for (size_t j = 0; j < k; j++) x[i] += w[m + "conv1d.weight"][i * k + j] * past[l][j][i];
                x[i] = silu(x[i]);
            }
            past[l].erase(past[l].begin());
            Floats low = linear(w[m + "x_proj.weight"], x), dt = linear(w[m + "dt_proj.weight"], low);
            for (size_t i = 0; i < c; i++) {
                float delta = softplus(dt[i] + w[m + "dt_proj.bias"][i]);
                for (size_t s = 0; s < n; s++) {
                    float& state = h[l][i * n + s];
                    state = std::exp(-std::exp(w[m + "A_log"][i * n + s]) * delta) * state + delta * x[i] * low[r + s];
                    y[i] += state * low[r + n + s];
                }
                y[i] = (y[i] + w[m + "D"][i] * x[i]) * silu(uz[c + i]);
            }
            Floats added = linear(w[m + "out_proj.weight"], y);
            for (size_t i = 0; i < d; i++) stream[i] += added[i];
        }
        told.push_back(linear(w["lm_head.weight"], norm(stream, w["backbone.norm_f.weight"], eps)));
    }
    return told;
}

int main(int count, char** cases) {
    size_t wrong = 0, logits = 0;
    for (int number = 1; number < count; number++) {
        string place = cases[number], config = slurp(place + "/config.json");
        string model = slurp(place + "/model.safetensors"), expected = slurp(place + "/expected.safetensors");
        auto weights = tensors(model), owed = tensors(expected);
        const Tensor &words = owed["words"], &right = owed["logits"];
        size_t rows = words.shape[0], time = words.shape[1], vocabulary = right.shape[2], before = wrong;
        for (size_t row = 0; row < rows; row++) {
            vector<int64_t> word(time);
            for (size_t t = 0; t < time; t++) word[t] = words.id(row * time + t);
            vector<Floats> told = mamba(config, weights, word);
            for (size_t t = 0; t < time; t++)
                for (size_t v = 0; v < vocabulary; v++, logits++)
                    wrong += told[t][v] != right[(row * time + t) * vocabulary + v];  // -0.0 counts as 0
        }
        if (wrong > before) std::cout << place << ": " << wrong - before << " logits differ\n";
    }
    std::cout << count - 1 << " cases, " << logits << " logits, " << wrong << " differ\n";
    return wrong > 0;
}
